// Elements, the API, and values as people read them. What comes from the server is put
// in as text.

export function el(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (v === undefined || v === null || v === false) continue;
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (k === "class") e.className = v;
    else if (k in e && k !== "list") e[k] = v;
    else e.setAttribute(k, v);
  }
  e.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false && c !== ""));
  return e;
}

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.message);
    this.status = status;
    this.hint = problem.hint;
    this.details = problem.details;
  }
}

export async function api(path, body) {
  const opts = { method: body === undefined ? "GET" : "POST", headers: {} };
  if (body !== undefined) {
    opts.body = JSON.stringify(body);
    opts.headers["Content-Type"] = "application/json";
  }
  const res = await fetch(path, opts);
  if (res.status === 204) return null;
  const data = await res.json().catch(() => ({ error: { message: "the server answered " + res.status } }));
  if (!res.ok) throw new Refused(res.status, data.error || {});
  return data;
}
export const v1 = (path, body) => api("/api/v1" + path, body);

// trouble shows an error in the order in which one reads it: what, the details, the
// state, what to do.
export function trouble(err) {
  const details = typeof err.details === "string" ? err.details : "";
  return el("div", { class: "notice bad", role: "alert" }, el("strong", {}, err.message),
    details && el("pre", {}, details), err.state && el("div", {}, err.state), err.hint && el("div", { class: "next" }, "next: " + err.hint));
}

// said writes a value of a parameter as one types it.
export function said(v) {
  if (v === null || v === undefined) return "";
  if (Array.isArray(v)) return v.map(said).join(",");
  if (typeof v === "object") return Object.entries(v).map(([k, x]) => k + "=" + said(x)).join(",");
  return String(v);
}

export function took(ms) {
  if (ms === undefined || ms === null) return "";
  if (ms < 1) return "<1 ms";
  if (ms < 1000) return Math.round(ms) + " ms";
  if (ms < 60000) return (ms / 1000).toFixed(1) + " s";
  return Math.floor(ms / 60000) + " min " + Math.round((ms % 60000) / 1000) + " s";
}

const spans = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];
function span(seconds) {
  const [, unit, name] = spans.find(([most]) => seconds < most);
  return Math.floor(seconds / unit) + " " + name;
}
// when is a time as people say it; the exact one is in its title.
export function when(t) {
  if (!t) return "";
  const at = new Date(t), seconds = (Date.now() - at) / 1000;
  const text = Math.abs(seconds) < 5 ? "now" : seconds < 0 ? "in " + span(-seconds) : span(seconds) + " ago";
  return el("time", { dateTime: at.toISOString(), title: at.toLocaleString() }, text);
}

const kinds = { ok: "good", unchanged: "good", running: "going", failed: "bad", "cut off": "bad", cancelled: "warn", "not begun": "bad", resumed: "warn", aborted: "warn", asks: "warn", damaged: "bad" };
const words = { asks: "waits for approval", "cut off": "interrupted", unchanged: "nothing to do" };
export const tag = (status) => el("span", { class: "tag " + (kinds[status] || "dim") }, words[status] || status || "?");

// versionOf returns what stands behind the colon of an image.
export const versionOf = (image) => (/:([^:/]+)$/.exec(image || "") || [])[1] || image || "";

export const runLink = (id, text) => el("a", { href: "#/runs/" + encodeURIComponent(id) }, text || id);
export const recipeLink = (name, params, text) => el("a", { href: recipeHref(name, params) }, text || name);
export function recipeHref(name, params) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params || {})) q.set(k, said(v));
  return "#/recipes/" + encodeURIComponent(name) + (q.size ? "?" + q : "");
}

// table is one whose rows are cards on a narrow screen: each cell then has its label.
export function table(heads, rows) {
  return el("table", {}, el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col" }, h)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((c, i) => el("td", { "data-label": heads[i] }, c))))));
}

// planLines colours the lines of a plan by what they do.
export function planLines(text) {
  return text.split("\n").map((l) => {
    const mark = /^\s*([+~x!?-]) /.exec(l);
    return el("span", { class: mark ? { "+": "add", "~": "edit", "-": "remove", x: "bad", "!": "warn", "?": "warn" }[mark[1]] : undefined }, l + "\n");
  });
}

// A view is drawn again when something has changed on the server: view.again, if there
// is one. view.over ends what it began.
export const view = { again: null, over: [] };

// timeless is what is drawn without how long ago things were, which alone changes by itself.
function timeless(node) {
  const copy = node.cloneNode(true);
  copy.querySelectorAll("time").forEach((t) => t.replaceChildren());
  return copy.innerHTML;
}

// live draws box by draw, and again after each change. What looks the same stays, but for
// the times in it: a button is not taken away from under the pointer.
export async function live(draw, box) {
  let drawn = "";
  const again = async () => {
    if (box.contains(document.activeElement) && document.activeElement !== box) return; // somebody is at a button there
    const open = new Set([...box.querySelectorAll("details[open]")].map((d) => d.dataset.key));
    try {
      const next = el("div", {}, (await draw()).filter(Boolean));
      const now = timeless(next), times = next.querySelectorAll("time");
      if (now === drawn) return box.querySelectorAll("time").forEach((t, i) => t.replaceChildren(...times[i].childNodes));
      drawn = now;
      box.replaceChildren(...next.childNodes);
      box.querySelectorAll("details").forEach((d) => { if (open.has(d.dataset.key)) d.open = true; });
    } catch (err) {
      if (err.status === 401) throw err;
      drawn = "";
      box.replaceChildren(trouble(err));
    }
  };
  await again();
  view.again = again;
}

// act asks the server for something, and shows at once that it was asked.
export async function act(button, what, asked) {
  const group = button.parentElement;
  const buttons = [...group.querySelectorAll("button")];
  buttons.forEach((b) => (b.disabled = true));
  try {
    await what();
    if (asked) group.replaceChildren(el("span", { class: "asked", role: "status" }, asked));
    else buttons.forEach((b) => (b.disabled = false));
  } catch (err) {
    buttons.forEach((b) => (b.disabled = false));
    group.after(trouble(err));
    return;
  }
  button.blur();
  if (view.again) view.again();
}

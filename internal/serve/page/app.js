"use strict";
// One page over the API. Whatever comes from the server is put in as text.

const main = document.getElementById("main");
const line = document.getElementById("line");
let leave = []; // what ends when another view begins

function el(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (v === undefined || v === null || v === false) continue;
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (k === "class") e.className = v;
    else if (k in e && k !== "list") e[k] = v;
    else e.setAttribute(k, v);
  }
  e.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

class Refused extends Error {
  constructor(status, problem) {
    super(problem.message);
    this.status = status;
    this.hint = problem.hint;
    this.details = problem.details;
  }
}

async function api(path, body, method) {
  const opts = { method: method || (body === undefined ? "GET" : "POST"), headers: {} };
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
const v1 = (path, body) => api("/api/v1" + path, body);

function trouble(err) {
  return el("div", { class: "notice bad", role: "alert" }, err.message, err.details ? "\n" + err.details : "", err.hint ? "\nnext: " + err.hint : "");
}

const when = (t) => (t ? new Date(t).toLocaleString() : "");
function took(ms) {
  if (ms === undefined || ms === null) return "";
  if (ms < 1000) return Math.round(ms) + " ms";
  return ms < 60000 ? (ms / 1000).toFixed(1) + " s" : Math.floor(ms / 60000) + " min " + Math.round((ms % 60000) / 1000) + " s";
}
function tag(status) {
  const kind = { ok: "good", unchanged: "good", running: "going", queued: "dim", failed: "bad", "cut off": "bad", cancelled: "warn", "not begun": "bad", superseded: "dim", withdrawn: "dim", resumed: "warn", aborted: "warn" }[status] || "dim";
  return el("span", { class: "tag " + kind }, status || "?");
}
const runLink = (id, text) => el("a", { href: "#/runs/" + encodeURIComponent(id) }, text || id);
const recipeLink = (name) => el("a", { href: "#/recipes/" + encodeURIComponent(name) }, name);

// --- the views -----------------------------------------------------------

async function overview(view) {
  const box = el("div");
  view.append(el("h1", {}, "Now"), box);
  await live(async () => {
    const [status, queue, routing, approvals] = await Promise.all([v1("/status"), v1("/queue"), v1("/routing").catch((e) => ({ trouble: e, hosts: [] })), v1("/approvals")]);
    const parts = [];
    if (status.paused) {
      parts.push(el("div", { class: "notice warn" }, "Paused by " + status.paused + ": nothing is started. ",
        el("button", { onclick: () => act(() => v1("/queue/resume", {})) }, "Start again")));
    }
    for (const t of status.trouble) parts.push(el("div", { class: "notice bad" }, t));
    for (const a of approvals) parts.push(approval(a));
    parts.push(el("h2", {}, "Runs"));
    const all = [...queue.running, ...queue.waiting];
    parts.push(all.length === 0 ? el("p", { class: "dim" }, "Nothing runs, nothing waits.") : el("table", {},
      el("thead", {}, el("tr", {}, el("th", {}, "Run"), el("th", {}, "Recipe"), el("th", {}, "App"), el("th", { class: "wide" }, "By"), el("th", {}, ""))),
      el("tbody", {}, all.map((e) => el("tr", {},
        el("td", {}, runLink(e.run || e.id)), el("td", {}, e.recipe), el("td", {}, e.app), el("td", { class: "wide" }, e.who), el("td", {}, tag(e.state)))))));
    if (!status.paused) parts.push(el("div", { class: "actions" }, el("button", { onclick: () => act(() => v1("/queue/pause", {})) }, "Pause the queue")));
    parts.push(el("h2", {}, "Traffic"));
    if (routing.trouble) parts.push(trouble(routing.trouble));
    if (!routing.trouble && routing.hosts.length === 0) parts.push(el("p", { class: "dim" }, "No routing list in Redis yet: the first deployment writes one."));
    for (const h of routing.hosts) parts.push(host(h));
    return parts;
  }, box);
}

function host(h) {
  const total = h.backends.reduce((n, b) => n + b.weight, 0) || 1;
  const share = (b) => Math.round((1000 * b.weight) / total) / 10 + " %";
  return el("section", { class: "card", "aria-label": "Traffic of " + h.host },
    el("strong", {}, h.host), h.identifier === h.host ? "" : el("span", { class: "dim" }, " belongs to " + h.identifier),
    el("div", { class: "split", role: "img", "aria-label": h.backends.map((b) => share(b) + " to " + (b.container ? b.container.name : b.url)).join(", ") || "no backend" },
      h.backends.map((b) => {
        const s = el("span", { title: b.url }, share(b) + " " + (b.container ? b.container.version || b.container.name : b.url));
        s.style.flexGrow = b.weight;
        s.style.flexBasis = 0;
        return s;
      })),
    el("table", {}, el("tbody", {}, h.backends.map((b) => el("tr", {},
      el("td", {}, b.container ? b.container.name : el("span", { class: "warn" }, "no container of this engine")),
      el("td", { class: "wide" }, b.container ? b.container.image : ""), el("td", { class: "wide" }, el("code", {}, b.url)),
      el("td", { class: "num" }, share(b)),
      el("td", {}, b.dead ? el("span", { class: "tag bad" }, "marked dead") : b.container ? el("span", { class: "tag " + (b.container.state === "running" ? "good" : "bad") }, b.container.state) : ""))))));
}

function approval(a) {
  const answer = (yes) => act(() => v1("/runs/" + encodeURIComponent(a.run) + "/approval", { question: a.number, approve: yes }));
  return el("section", { class: "card", role: "group", "aria-label": "Approval" },
    el("strong", {}, a.question), el("div", { class: "dim" }, a.recipe + " for " + a.app + ", ", runLink(a.run), a.deadline ? ", until " + when(a.deadline) + ", else " + a.default : ""),
    el("div", { class: "actions" }, el("button", { class: "main", onclick: () => answer(true) }, "Approve"), el("button", { class: "danger", onclick: () => answer(false) }, "Reject")));
}

async function recipes(view) {
  const box = el("div");
  view.append(el("h1", {}, "Recipes"), box);
  await live(async () => {
    const all = await v1("/recipes");
    if (all.length === 0) return [el("p", { class: "dim" }, "There are no .lua files in the directory that is served.")];
    return [el("div", { class: "grid" }, all.map((r) => el("section", { class: "card" },
      el("strong", {}, recipeLink(r.name)), " ", r.trouble ? el("span", { class: "tag bad" }, "broken") : el("span", { class: "tag good" }, "active"),
      el("div", {}, (r.doc || "").split("\n\n")[0]),
      el("div", { class: "dim" }, r.version ? "version " + r.version + ", since " + when(r.loaded) : "no version yet"),
      r.triggers.map((t) => el("div", { class: "dim" }, "starts on " + t)),
      r.trouble && el("div", { class: "notice bad" }, r.trouble))))];
  }, box);
}

function field(p) {
  const name = "param-" + p.name;
  const doc = [p.doc, p.min !== undefined || p.max !== undefined ? `${p.min ?? ""} to ${p.max ?? ""}` : "", p.type === "list" ? "several, separated by commas" : "", p.type === "duration" ? "such as 30s or 5m" : ""].filter(Boolean).join("; ");
  const text = p.default === undefined || p.default === null ? "" : Array.isArray(p.default) ? p.default.join(",") : String(p.default);
  let input;
  if (p.type === "secret") return el("p", { class: "dim" }, p.name + ": a secret; the server gives it (--secret)");
  if (p.type === "enum") input = el("select", { id: name, name: p.name }, p.values.map((v) => el("option", { selected: v === text }, v)));
  else if (p.type === "boolean") input = el("input", { id: name, name: p.name, type: "checkbox", checked: p.default === true });
  else input = el("input", { id: name, name: p.name, required: p.required, placeholder: text, autocomplete: "off", spellcheck: false, inputMode: p.type === "integer" ? "numeric" : undefined });
  return el("label", { htmlFor: name }, p.name + (p.required ? " *" : ""), input, el("small", {}, doc));
}

async function recipe(view, name) {
  const r = await v1("/recipes/" + encodeURIComponent(name));
  const out = el("div", { "aria-live": "polite" });
  const form = el("form", {},
    r.params.filter((p) => p.required).map(field),
    r.params.some((p) => !p.required) && el("details", {}, el("summary", {}, "More parameters"), el("div", { class: "card" }, r.params.filter((p) => !p.required).map(field))),
    el("div", { class: "actions" },
      el("button", { class: "main", type: "submit", value: "rehearse" }, "Rehearse"),
      el("button", { type: "submit", value: "run" }, "Run without a plan")));
  const given = () => {
    const params = {};
    for (const p of r.params) {
      const i = form.elements[p.name];
      if (!i) continue;
      if (p.type === "boolean") { if (i.checked !== (p.default === true)) params[p.name] = i.checked; }
      else if (i.value !== "" && !(p.type === "enum" && i.value === p.default)) params[p.name] = i.value;
    }
    return params;
  };
  const path = "/recipes/" + encodeURIComponent(name);
  const go = (e) => { location.hash = "#/runs/" + encodeURIComponent(e.id); };
  form.addEventListener("submit", async (ev) => {
    ev.preventDefault();
    const buttons = form.querySelectorAll("button");
    buttons.forEach((b) => (b.disabled = true));
    out.replaceChildren(el("p", { class: "dim" }, "…"));
    try {
      if (ev.submitter && ev.submitter.value === "run") return go(await v1(path + "/runs", { params: given() }));
      const res = await v1(path + "/rehearsals", { params: given() });
      const failed = res.plan.error;
      const apply = el("button", { class: "main", onclick: async () => {
        apply.disabled = true;
        try { go(await v1(path + "/plans", { plan: res.plan })); } catch (err) { apply.after(trouble(err)); }
      } }, "Carry out this plan");
      out.replaceChildren(el("h2", {}, "Plan"), el("pre", { id: "plan", tabIndex: 0 }, res.text), failed ? el("p", { class: "bad" }, "The rehearsal failed: there is nothing to carry out.") : apply);
    } catch (err) {
      out.replaceChildren(trouble(err));
    } finally {
      buttons.forEach((b) => (b.disabled = false));
    }
  });
  view.append(el("h1", {}, name), el("p", {}, r.doc || ""),
    el("p", { class: "dim" }, r.version ? "version " + r.version + ", since " + when(r.loaded) : "no version yet"),
    r.trouble ? el("div", { class: "notice bad", role: "alert" }, r.trouble + (r.version ? "\nThe last good version is run." : "")) : "",
    r.version ? form : "", out);
}

async function runs(view, query) {
  const box = el("div");
  const f = new URLSearchParams(query);
  const input = (name, label) => el("label", {}, label, el("input", { name, value: f.get(name) || "" }));
  const form = el("form", { class: "filters", onsubmit: (ev) => {
    ev.preventDefault();
    const q = new URLSearchParams();
    for (const i of form.elements) if (i.name && i.value) q.set(i.name, i.value);
    location.hash = "#/runs?" + q;
  } }, input("app", "App"), input("recipe", "Recipe"), el("label", {}, "Result", el("select", { name: "status" },
    ["", "ok", "unchanged", "failed", "cancelled", "cut off", "running"].map((s) => el("option", { value: s, selected: s === (f.get("status") || "") }, s || "any")))),
  el("button", { type: "submit" }, "Filter"));
  view.append(el("h1", {}, "Runs"), form, box);
  await live(async () => {
    const all = await v1("/runs?" + f);
    if (all.length === 0) return [el("p", { class: "dim" }, "No run is like that.")];
    const last = all[all.length - 1];
    const older = new URLSearchParams(f);
    older.set("before", last.id);
    return [el("table", {}, el("thead", {}, el("tr", {}, ["Started", "App", "Recipe", "By", "Took", ""].map((h, i) => el("th", { class: i === 3 || i === 4 ? "wide" : "" }, h)))),
      el("tbody", {}, all.map((r) => el("tr", {}, el("td", {}, runLink(r.id, when(r.started))), el("td", {}, r.app), el("td", {}, r.recipe), el("td", { class: "wide" }, r.who),
        el("td", { class: "wide num" }, took(r.duration_ms)), el("td", {}, tag(r.status)))))),
    all.length >= 50 && el("p", {}, el("a", { href: "#/runs?" + older }, "Older"))];
  }, box);
}

async function run(view, id) {
  const head = el("div");
  const list = el("ol", { class: "time", "aria-label": "What the run does", "aria-live": "polite" });
  const foot = el("div");
  view.append(head, foot, list);
  const open = new Map(); // what goes on, by its key
  const show = async () => {
    const r = await v1("/runs/" + encodeURIComponent(id));
    const status = r.request && r.request.state !== "done" ? (r.request.state === "queued" ? "queued" : r.status || "running") : r.status;
    head.replaceChildren(
      el("h1", {}, r.recipe + " for " + r.app, " ", tag(status)),
      el("p", { class: "dim" }, id + ", by " + r.who + (r.started ? ", " + when(r.started) : "") + (r.duration_ms ? ", " + took(r.duration_ms) : "")),
      r.params && Object.keys(r.params).length ? el("p", {}, Object.entries(r.params).map(([k, v]) => el("code", {}, k + "=" + (typeof v === "object" ? JSON.stringify(v) : v) + " "))) : "",
      r.error ? trouble(r.error) : "",
      r.request && r.request.result && r.request.result.text ? el("div", { class: "notice" }, r.request.result.text) : "");
    const going = r.request && r.request.state !== "done";
    const asked = going ? (await v1("/approvals")).filter((a) => a.run === id) : [];
    foot.replaceChildren(...asked.map(approval), going ? el("div", { class: "actions" },
      el("button", { class: "danger", onclick: () => act(() => v1("/runs/" + encodeURIComponent(id) + "/abort", {})) }, r.request.state === "queued" ? "Take out of the queue" : "Stop, and undo"),
      el("button", { onclick: () => { if (confirm("End its process at once? Nothing is undone.")) act(() => v1("/runs/" + encodeURIComponent(id) + "/abort", { kill: true })); } }, "Kill")) : "");
    return r;
  };
  const item = (cls, mark, text, more, time) => el("li", { class: cls }, el("span", { "aria-hidden": "true" }, mark), el("span", {}, text), el("span", { class: "took" }, time || ""), more ? el("span", { class: "more" }, more) : "");
  const replace = (key, node) => { const was = open.get(key); if (was) { was.replaceWith(node); open.delete(key); } else list.append(node); };
  const ms = (ns) => took((ns || 0) / 1e6);
  const on = {
    step: (e) => { const n = item("step going", "▸", e.step.path.join(" › ")); open.set("s" + e.step.path.join("/") + (e.step.branch || ""), n); list.append(n); },
    step_end: (e) => replace("s" + e.step.path.join("/") + (e.step.branch || ""), item("step" + (e.error ? " bad" : ""), e.error ? "✗" : "✓", e.step.path.join(" › "), "", ms(e.step.duration))),
    intent: (e) => { const n = item("going", "·", e.op.op + " " + e.op.target); open.set("o" + e.op.seq, n); n.dataset.text = e.op.op + " " + e.op.target; list.append(n); },
    outcome: (e) => { const was = open.get("o" + e.seq); const bad = e.result.outcome === "refused" || e.result.outcome === "unknown";
      replace("o" + e.seq, item(bad ? "bad" : "", bad ? "✗" : "✓", was ? was.dataset.text : "call " + e.seq, [e.result.summary, e.result.error && e.result.error.message].filter(Boolean).join("; "), ms(e.result.duration))); },
    log: (e) => list.append(item(e.log.level === "error" ? "bad" : e.log.level === "warn" ? "warn" : "", "“", e.log.text)),
    undone: (e) => list.append(item(e.error ? "bad" : "warn", "↩", "undone: " + e.undo.name, e.undo.said)),
    asked: (e) => { list.append(item("warn", "?", e.ask.question)); show().catch(() => {}); },
    answered: (e) => { list.append(item("", "!", (e.ask.approved ? "approved" : "rejected") + " by " + e.ask.who)); show().catch(() => {}); },
    end: () => {},
  };
  const began = await show().catch((err) => err);
  if (began instanceof Error) return view.replaceChildren(trouble(began));
  const stream = new EventSource("/api/v1/runs/" + encodeURIComponent(id) + "/events");
  leave.push(() => stream.close());
  for (const [type, f] of Object.entries(on)) stream.addEventListener(type, (ev) => { f(JSON.parse(ev.data)); if (type === "end") show().catch(() => {}); });
  stream.addEventListener("run", () => show().catch(() => {}));
  stream.addEventListener("over", () => { stream.close(); show().catch(() => {}); });
}

function login(view) {
  const input = el("input", { type: "password", name: "token", required: true, autocomplete: "current-password", id: "token" });
  const out = el("div");
  view.replaceChildren(el("h1", {}, "Sign in"), el("form", { class: "card", onsubmit: async (ev) => {
    ev.preventDefault();
    try { await api("/page/login", { token: input.value }); route(); } catch (err) { out.replaceChildren(trouble(err)); }
  } }, el("label", { htmlFor: "token" }, "The server's token", input, el("small", {}, "It is in the file serve/token of the server's state directory.")),
  el("div", { class: "actions" }, el("button", { class: "main", type: "submit" }, "Sign in")), out));
  input.focus();
}

// --- moving about ---------------------------------------------------------

let refresh = null; // draws the view again
// live draws box by draw, and again after each change on the server.
async function live(draw, box) {
  const again = async () => {
    const had = box.contains(document.activeElement);
    if (had) return; // somebody is at a button there
    try { box.replaceChildren(...(await draw()).flat().filter(Boolean)); }
    catch (err) { if (err.status === 401) return login(main); box.replaceChildren(trouble(err)); }
  };
  await again();
  refresh = again;
}

async function act(what) {
  try { await what(); } catch (err) { main.prepend(trouble(err)); return; }
  if (document.activeElement) document.activeElement.blur();
  if (refresh) refresh();
}

async function route() {
  leave.forEach((f) => f());
  leave = [];
  refresh = null;
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [kind, ...rest] = path.split("/");
  const arg = decodeURIComponent(rest.join("/"));
  document.querySelectorAll("nav a").forEach((a) => {
    const here = a.getAttribute("href") === "#/" + kind;
    if (here) a.setAttribute("aria-current", "page"); else a.removeAttribute("aria-current");
  });
  const view = el("div");
  main.replaceChildren(view);
  try {
    if (kind === "recipes") await (arg ? recipe(view, arg) : recipes(view));
    else if (kind === "runs") await (arg ? run(view, arg) : runs(view, query));
    else await overview(view);
    document.title = (main.querySelector("h1") ? main.querySelector("h1").textContent + " – " : "") + "mepc-run";
  } catch (err) {
    if (err.status === 401) return login(view);
    view.replaceChildren(trouble(err));
  }
  listen();
}

let changes = null;
function listen() {
  if (changes && changes.readyState !== EventSource.CLOSED) return;
  changes = new EventSource("/api/v1/events");
  changes.addEventListener("open", () => { line.textContent = "live"; line.className = "good"; if (refresh) refresh(); });
  changes.addEventListener("changed", () => { if (refresh) refresh(); });
  changes.addEventListener("error", () => {
    line.textContent = "the server does not answer; trying again";
    line.className = "bad";
    if (changes.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  });
}

window.addEventListener("hashchange", () => { route(); main.focus(); });
route();

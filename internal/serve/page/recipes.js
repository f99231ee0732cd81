// The recipes, and the form of one.
import { el, live, planLines, recipeLink, runLink, said, table, tag, took, trouble, v1, versionOf, when } from "./dom.js";

export async function recipes(main) {
  const box = el("div");
  main.append(el("h1", {}, "Recipes"), box);
  await live(async () => {
    const all = await v1("/recipes");
    if (all.length === 0) return [el("p", { class: "dim" }, "There are no .lua files in the served directory.")];
    return [el("div", { class: "grid" }, all.map((r) => el("section", { class: "card" },
      el("div", { class: "head" }, el("h2", { class: "title" }, recipeLink(r.name)), r.trouble && el("span", { class: "tag bad" }, "broken")),
      el("div", {}, (r.doc || "").split("\n\n")[0]),
      r.triggers.map((t) => el("div", { class: "dim" }, "starts on " + t)),
      (r.warnings || []).map((w) => el("div", { class: "notice warn" }, w)),
      r.trouble && el("div", { class: "notice bad" }, r.trouble),
      el("div", { class: "dim" }, r.version ? ["version " + r.version + ", loaded ", when(r.loaded)] : "no version yet"))))];
  }, box);
}

function field(p, given) {
  const id = "param-" + p.name, usual = said(p.default), value = given === undefined ? "" : given;
  const range = p.min !== undefined && p.max !== undefined ? p.min + " to " + p.max : p.min !== undefined ? "at least " + p.min : p.max !== undefined ? "at most " + p.max : "";
  const doc = [p.doc, range, p.type === "list" && "several, separated by commas", p.type === "map" && "as name=value, separated by commas", p.type === "duration" && "such as 30s or 5m"].filter(Boolean).join("; ");
  if (p.type === "secret") return el("p", { class: "dim" }, p.name + ": a secret; the server gives it (--secret)");
  let input;
  if (p.type === "enum") input = el("select", { id, name: p.name }, p.values.map((v) => el("option", { selected: v === (value || usual) }, v)));
  else if (p.type === "boolean") input = el("input", { id, name: p.name, type: "checkbox", checked: value === "" ? p.default === true : value === "true" });
  else input = el("input", { id, name: p.name, value, required: p.required, placeholder: usual, autocomplete: "off", spellcheck: false, inputMode: p.type === "integer" ? "numeric" : undefined, "aria-describedby": id + "-doc" });
  return el("label", { htmlFor: id }, el("span", {}, p.name, p.required && el("span", { class: "dim" }, " required")), input, el("small", { id: id + "-doc" }, doc));
}

// everywhere lists the parameters that one looks for first in any recipe.
const everywhere = ["image", "app", "host", "replicas", "to", "reason"];

export async function recipe(main, name, query) {
  const path = "/recipes/" + encodeURIComponent(name);
  const [r, runs] = await Promise.all([v1(path), v1("/runs?limit=8&recipe=" + encodeURIComponent(name))]);
  const given = new URLSearchParams(query);
  const first = (p) => p.required || p.usual || given.has(p.name) || everywhere.includes(p.name);
  const fields = (some) => some.map((p) => field(p, given.has(p.name) ? given.get(p.name) : undefined));
  const rest = r.params.filter((p) => !first(p));
  const out = el("div", { "aria-live": "polite" });
  const form = el("form", {},
    fields(r.params.filter((p) => p.required)), fields(r.params.filter((p) => !p.required && first(p))),
    rest.length > 0 && el("details", {}, el("summary", {}, rest.length + " more parameters"), el("div", { class: "fields" }, fields(rest))),
    el("div", { class: "actions" },
      el("button", { class: "main", type: "submit", value: "rehearse" }, "Rehearse"),
      el("button", { type: "submit", value: "run" }, "Run without a plan")));
  const params = () => {
    const all = {};
    for (const p of r.params) {
      const i = form.elements[p.name];
      if (!i) continue;
      if (p.type === "boolean") { if (i.checked !== (p.default === true)) all[p.name] = i.checked; }
      else if (i.value !== "" && !(p.type === "enum" && i.value === p.default)) all[p.name] = i.value;
    }
    return all;
  };
  const go = (e) => { location.hash = "#/runs/" + encodeURIComponent(e.id); };
  form.addEventListener("submit", async (ev) => {
    ev.preventDefault();
    const buttons = form.querySelectorAll("button");
    buttons.forEach((b) => (b.disabled = true));
    out.replaceChildren(el("p", { class: "dim" }, "…"));
    try {
      if (ev.submitter && ev.submitter.value === "run") return go(await v1(path + "/runs", { params: params() }));
      const res = await v1(path + "/rehearsals", { params: params() });
      const apply = el("button", { class: "main", onclick: async () => {
        apply.disabled = true;
        try { go(await v1(path + "/plans", { plan: res.plan })); } catch (err) { apply.after(trouble(err)); }
      } }, "Carry out this plan");
      out.replaceChildren(el("h2", {}, "Plan"), el("pre", { id: "plan", tabIndex: 0 }, planLines(res.text)),
        res.plan.error ? el("p", { class: "bad" }, "The rehearsal failed: there is nothing to carry out.") : el("div", { class: "actions" }, apply));
      out.scrollIntoView({ block: "start" });
    } catch (err) {
      out.replaceChildren(trouble(err));
    } finally {
      buttons.forEach((b) => (b.disabled = false));
    }
  });
  main.append(...[el("h1", {}, name), el("p", { class: "doc" }, (r.doc || "").trim()),
    r.triggers.length > 0 && el("p", {}, "Starts by itself on ", r.triggers.join("; "), "."),
    el("p", { class: "dim" }, r.version ? ["version " + r.version + ", loaded ", when(r.loaded)] : "no version yet"),
    r.trouble && el("div", { class: "notice bad", role: "alert" }, r.trouble, r.version && el("div", {}, "The last good version is run.")),
    (r.warnings || []).map((w) => el("div", { class: "notice warn" }, w)),
    r.version && form, out,
    runs.length > 0 && [el("h2", {}, "Last runs"), runTable(runs)]].flat(Infinity).filter(Boolean));
  if (given.size > 0 && r.version && form.checkValidity()) form.querySelector("button.main").click();
}

export function runTable(runs) {
  return table(["Run", "App", "By", "Started", "Took", ""], runs.map((r) => [
    runLink(r.id, r.recipe + " " + versionOf((r.params || {}).image)), r.app, r.who, when(r.started), took(r.duration_ms), tag((r.asks || []).length > 0 ? "asks" : r.status)]));
}

export async function runs(main, query) {
  const box = el("div");
  const f = new URLSearchParams(query);
  const input = (name, label) => el("label", {}, label, el("input", { name, value: f.get(name) || "" }));
  const form = el("form", { class: "filters", onsubmit: (ev) => {
    ev.preventDefault();
    const q = new URLSearchParams();
    for (const i of form.elements) if (i.name && i.value) q.set(i.name, i.value);
    location.hash = "#/runs?" + q;
  } }, input("app", "App"), input("recipe", "Recipe"), el("label", {}, "Result", el("select", { name: "status" },
    [["", "any"], ["ok"], ["unchanged", "nothing to do"], ["failed"], ["cancelled"], ["cut off", "interrupted"], ["running"]].map(([s, text]) => el("option", { value: s, selected: s === (f.get("status") || "") }, text || s)))),
  el("button", { type: "submit" }, "Filter"));
  main.append(el("h1", {}, "Runs"), form, box);
  await live(async () => {
    const all = await v1("/runs?" + f);
    if (all.length === 0) return [el("p", { class: "dim" }, "No matching runs.")];
    const older = new URLSearchParams(f);
    older.set("before", all[all.length - 1].id);
    return [runTable(all), all.length >= 50 && el("p", {}, el("a", { href: "#/runs?" + older }, "Older"))];
  }, box);
}

// A run: what it does, as a tree of its steps.
import { act, el, recipeHref, said, tag, took, trouble, v1, versionOf, view, when } from "./dom.js";
import { approval, byApp } from "./now.js";

export async function run(main, id) {
  const head = el("div"), foot = el("div");
  const list = el("ol", { class: "time", "aria-label": "What the run does", "aria-live": "polite" });
  main.append(head, foot, list);
  const path = "/runs/" + encodeURIComponent(id);
  const show = async () => {
    const r = await v1(path);
    const asked = r.request && r.request.state !== "done";
    const status = asked ? (r.request.state === "queued" ? "queued" : r.status || "running") : r.status;
    const going = asked || status === "running";
    const params = Object.entries(r.params || {});
    head.replaceChildren(...[
      el("h1", {}, r.recipe + " " + versionOf((r.params || {}).image), " ", tag(status)),
      el("p", { class: "dim" }, r.app + ", by " + r.who + ", ", when(r.started), r.duration_ms && !going ? ", took " + took(r.duration_ms) : "", ", ", el("code", {}, id)),
      params.length > 0 && el("p", {}, params.map(([k, v]) => [el("code", {}, k + "=" + said(v)), " "])),
      r.error && trouble(r.error),
      r.request && r.request.result && r.request.result.text && !r.error && el("div", { class: "notice" }, r.request.result.text)].filter(Boolean));
    const questions = going ? (await v1("/approvals")).filter((a) => a.run === id) : [];
    const apps = questions.length > 0 ? byApp((await v1("/routing").catch(() => ({ hosts: [] }))).hosts) : null;
    const known = going ? null : await v1("/recipes/" + encodeURIComponent(r.recipe)).catch(() => null);
    foot.replaceChildren(...questions.map((a) => approval(a, apps.get(a.app))), el("div", { class: "actions" },
      asked && el("button", { class: "danger", onclick: (ev) => act(ev.target, () => v1(path + "/abort", {}), "Asked to stop.") }, r.request.state === "queued" ? "Take out of the queue" : "Stop, and undo"),
      asked && el("button", { class: "quiet", onclick: (ev) => { if (confirm("End its process at once? Nothing is undone.")) act(ev.target, () => v1(path + "/abort", { kill: true }), "Killed."); } }, "Kill"),
      known && known.version && ["failed", "cancelled", "cut off", "not begun"].includes(status) && retry(r),
      known && known.version && el("a", { class: "button", href: recipeHref(r.recipe, r.params) }, "Rehearse again")));
    return r;
  };
  view.again = () => show().catch(() => {});
  const began = await show();
  if (began.error && began.status === "damaged") return;
  const tree = new Tree(list);
  const stream = new EventSource("/api/v1" + path + "/events");
  view.over.push(() => stream.close());
  for (const type of Object.keys(tree.on)) {
    stream.addEventListener(type, (ev) => {
      tree.on[type](JSON.parse(ev.data));
      if (["end", "asked", "answered"].includes(type)) view.again();
    });
  }
  stream.addEventListener("run", view.again);
  stream.addEventListener("over", () => { stream.close(); view.again(); });
}

function retry(r) {
  return el("button", { class: "main", onclick: (ev) => act(ev.target, async () => {
    const e = await v1("/recipes/" + encodeURIComponent(r.recipe) + "/runs", { params: r.params || {} });
    location.hash = "#/runs/" + encodeURIComponent(e.id);
  }) }, "Retry");
}

const ms = (ns) => took((ns || 0) / 1e6);

// Tree puts each record of a run where it belongs: calls and log lines into their step.
class Tree {
  constructor(list) {
    this.list = list;
    this.steps = new Map(); // by path: {li, into}
    this.calls = new Map(); // by number
    this.on = {
      step: (e) => this.step(e.step),
      step_end: (e) => this.stepEnd(e.step),
      intent: (e) => this.intent(e.op),
      outcome: (e) => this.outcome(e.seq, e.result),
      log: (e) => this.log(e.log),
      undone: (e) => this.list.append(item(e.error ? "bad" : "warn", e.error ? "✗" : "↩", (e.error ? "not undone: " : "undone: ") + e.undo.name, e.error ? e.error.message : e.undo.said)),
      asked: (e) => this.list.append(item("warn", "?", e.ask.question)),
      answered: (e) => this.list.append(item(e.ask.approved ? "good" : "bad", e.ask.approved ? "✓" : "✗", (e.ask.approved ? "approved by " : "rejected by ") + e.ask.who)),
      end: () => {},
    };
  }

  key(path, branch) { return JSON.stringify([path, branch || ""]); }

  // into receives what happens in a step; the list itself, when there is no step.
  into(path, branch) {
    for (let n = (path || []).length; n > 0; n--) {
      const s = this.steps.get(this.key(path.slice(0, n), branch)) || this.steps.get(this.key(path.slice(0, n)));
      if (s) return s.into;
    }
    return this.list;
  }

  step(s) {
    const into = el("ol", {});
    const li = item("step going", "▸", s.path[s.path.length - 1] + (s.branch ? " [" + s.branch + "]" : ""));
    li.append(into);
    this.into(s.path.slice(0, -1), s.branch).append(li);
    this.steps.set(this.key(s.path, s.branch), { li, into });
  }

  stepEnd(s) {
    const known = this.steps.get(this.key(s.path, s.branch));
    if (!known) return;
    set(known.li, "step" + (s.error ? " bad" : ""), s.error ? "✗" : "✓", ms(s.duration));
  }

  intent(op) {
    const li = item("going", "·", op.op + " " + op.target + (op.branch ? " [" + op.branch + "]" : ""));
    this.into(op.scope, op.branch).append(li);
    this.calls.set(op.seq, li);
  }

  outcome(seq, result) {
    const li = this.calls.get(seq);
    if (!li) return;
    const bad = result.outcome === "refused" || result.outcome === "unknown";
    set(li, bad ? "bad" : "", bad ? "✗" : "✓", ms(result.duration));
    const more = [result.summary, result.outcome === "unknown" && "whether it took effect is not known", result.error && result.error.message].filter(Boolean).join("; ");
    if (more) li.append(el("span", { class: "more" }, more));
  }

  log(l) {
    const fields = (l.fields || []).map((f) => f.name + "=" + f.value).join(" ");
    this.into(l.scope, l.branch).append(item("said" + (l.level === "error" ? " bad" : l.level === "warn" ? " warn" : ""), l.level === "warn" || l.level === "error" ? "!" : "", l.text + (fields ? " " + fields : "")));
  }
}

function item(cls, mark, text, more) {
  return el("li", { class: cls }, el("span", { class: "mark", "aria-hidden": "true" }, mark), el("span", { class: "text" }, text), el("span", { class: "took" }), more && el("span", { class: "more" }, more));
}

// set changes how a line stands: its class, mark and time.
function set(li, cls, mark, time) {
  li.className = cls;
  li.querySelector(":scope > .mark").textContent = mark;
  li.querySelector(":scope > .took").textContent = time;
}

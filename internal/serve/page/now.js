// What is: the apps with their traffic, what asks, what runs.
import { act, el, live, planLines, recipeHref, recipeLink, runLink, said, table, tag, trouble, v1, versionOf, when } from "./dom.js";

export async function now(main) {
  const box = el("div");
  main.append(el("h1", {}, "Now"), box);
  await live(async () => {
    const [status, queue, running, recent, routing, approvals, recipes] = await Promise.all([
      v1("/status"), v1("/queue"), v1("/runs?status=running"), v1("/runs?limit=100"),
      v1("/routing").catch((err) => ({ trouble: err, hosts: [] })), v1("/approvals"), v1("/recipes"),
    ]);
    const apps = byApp(routing.hosts);
    const known = new Set(recipes.filter((r) => r.version).map((r) => r.name));
    return [
      status.paused && el("div", { class: "notice warn" }, "Paused by " + status.paused + ": nothing is started. ",
        el("span", {}, el("button", { onclick: (ev) => act(ev.target, () => v1("/queue/resume", {})) }, "Start again"))),
      status.trouble.map((t) => el("div", { class: "notice bad" }, t)),
      approvals.map((a) => approval(a, apps.get(a.app))),
      el("h2", {}, "Apps"),
      routing.trouble && trouble(routing.trouble),
      !routing.trouble && apps.size === 0 && el("p", { class: "dim" }, "Nothing is deployed yet. ", recipeLinkOf(known)),
      [...apps.values()].map((app) => card(app, recent.filter((r) => r.app === app.name), known)),
      el("h2", {}, "Runs"),
      active(running, queue.waiting, approvals),
      el("div", { class: "actions" }, el("a", { href: "#/runs" }, "All runs"),
        !status.paused && el("button", { class: "quiet", onclick: (ev) => act(ev.target, () => v1("/queue/pause", {})) }, "Pause the queue")),
    ];
  }, box);
}

function recipeLinkOf(known) {
  const first = ["bluegreen", "deploy", ...known].find((name) => known.has(name));
  return first ? recipeLink(first, {}, "Deploy something with " + first) : "";
}

// byApp gathers the hosts of each app: {name, hosts, versions}.
export function byApp(hosts) {
  const apps = new Map();
  for (const h of hosts) {
    const of = h.backends.map((b) => b.container && b.container.app).find(Boolean) || h.identifier;
    if (!apps.has(of)) apps.set(of, { name: of, hosts: [], containers: new Map() });
    const app = apps.get(of);
    app.hosts.push(h);
    for (const b of h.backends) app.containers.set(b.url, b);
  }
  for (const app of apps.values()) {
    const made = new Map(); // when the newest container of each version was created
    for (const { container: c } of app.containers.values()) {
      if (c && !(made.get(c.version) > c.created)) made.set(c.version, c.created);
    }
    app.versions = [...made].sort((a, b) => (a[1] < b[1] ? 1 : -1)).map(([v]) => v); // the newest first
  }
  return apps;
}

const version = (b) => (b.container ? b.container.version || b.container.name : b.url);

// card is an app: what serves it, how its traffic is split, and what one does to it.
function card(app, runs, known) {
  const last = runs[0];
  return el("section", { class: "card app", "aria-label": "App " + app.name },
    el("div", { class: "head" }, el("h3", {}, app.name),
      el("span", { class: "versions" }, app.versions.map((v, i) => el("span", { class: "version " + (i === 0 ? "new" : "old") }, v)))),
    app.hosts.map((h) => host(h, app)),
    app.containers.size > 0 && table(["Container", "Version", "State", "Created", ""], [...app.containers.values()].map((b) => (b.container
      ? [b.container.name, b.container.version, state(b), when(b.container.created), el("a", { href: "#/containers/" + encodeURIComponent(b.container.name) }, "Logs")]
      : [el("code", {}, b.url), "", state(b), "", ""]))),
    el("div", { class: "actions" },
      last && el("span", { class: "dim" }, "last run ", runLink(last.id, last.recipe + " " + versionOf((last.params || {}).image)), " ", when(last.started), " ", tag(last.status)),
      back(app, runs, known)));
}

function state(b) {
  if (b.dead) return el("span", { class: "tag bad" }, "marked dead");
  if (!b.container) return el("span", { class: "tag warn" }, "not a container of this engine");
  const sick = /unhealthy/.test(b.container.status);
  return el("span", { class: "tag " + (b.container.state === "running" && !sick ? "good" : "bad"), title: b.container.status }, sick ? "unhealthy" : b.container.state);
}

// back leads to the form that returns to the version before: of rollback, where that is
// served, else of the recipe that deployed it.
function back(app, runs, known) {
  const of = { app: app.name, host: app.hosts.map((h) => h.host) };
  let to = null;
  if (app.versions.length === 0) return null;
  const before = runs.find((r) => r.status === "ok" && known.has(r.recipe) && r.params && r.params.image && !app.versions.includes(versionOf(r.params.image)));
  const guess = known.has("rollback") ? null : before; // rollback knows better, and its plan says it
  if (known.has("rollback")) to = recipeHref("rollback", of);
  else if (before) to = recipeHref(before.recipe, before.params);
  return to && el("a", { class: "button", href: to }, "Roll back" + (guess ? " to " + versionOf(guess.params.image) : ""));
}

function host(h, app) {
  const total = h.backends.reduce((n, b) => n + b.weight, 0) || 1;
  const shares = new Map();
  for (const b of h.backends) shares.set(version(b), (shares.get(version(b)) || 0) + b.weight / total);
  const parts = [...shares].sort((a, b) => app.versions.indexOf(a[0]) - app.versions.indexOf(b[0])).reverse(); // the old one first
  const percent = (x) => Math.round(1000 * x) / 10 + " %";
  return el("div", { class: "host" },
    el("div", {}, el("strong", {}, h.host)),
    el("div", { class: "split", role: "img", "aria-label": parts.map(([v, x]) => percent(x) + " to " + v).join(", ") || "no backend" },
      parts.length === 0 && el("span", { class: "none" }, "no backend: requests are refused"),
      parts.map(([v, x]) => {
        const s = el("span", { class: v === app.versions[0] ? "new" : "old", title: v }, v + " " + percent(x));
        s.style.flexGrow = x;
        return s;
      })));
}

function active(running, waiting, approvals) {
  const rows = running.map((r) => [runLink(r.id, r.recipe + " " + versionOf((r.params || {}).image)), r.app, r.who, when(r.started), tag(approvals.some((a) => a.run === r.id) ? "asks" : "running")])
    .concat(waiting.map((e) => [runLink(e.id, e.recipe + " " + versionOf((e.params || {}).image)), e.app, e.who, when(e.received), tag("queued")]));
  return rows.length === 0 ? el("p", { class: "dim" }, "Nothing is running, nothing is waiting.") : table(["Run", "App", "By", "Since", ""], rows);
}

// approval is a question with what one wants to know before answering: what becomes
// what, and how.
export function approval(a, app) {
  const answer = (yes) => (ev) => act(ev.target, () => v1("/runs/" + encodeURIComponent(a.run) + "/approval", { question: a.number, approve: yes }),
    yes ? "Approved. The run goes on." : "Rejected. The run ends and undoes its changes.");
  const to = a.params && a.params.image ? versionOf(a.params.image) : "";
  const from = ((app && app.versions) || []).filter((v) => v !== to);
  return el("section", { class: "card asks", role: "group", "aria-label": "Approval" },
    el("h2", { class: "title" }, a.question),
    to && el("p", { class: "change" }, el("span", {}, a.app), " ", from.length > 0 && [el("span", { class: "version old" }, from.join(", ")), " → "], el("span", { class: "version new" }, to)),
    el("p", { class: "dim" }, runLink(a.run, a.recipe), " by " + a.who + ", ", when(a.started), a.deadline && ["; ", a.default === "approve" ? "approved" : "rejected", " ", when(a.deadline), " without an answer"]),
    el("div", { class: "actions" }, el("button", { class: "main", onclick: answer(true) }, "Approve"), el("button", { class: "danger", onclick: answer(false) }, "Reject")),
    a.plan && el("details", { open: true, "data-key": "plan" + a.run }, el("summary", {}, "The plan"), el("pre", { class: "plan", tabIndex: 0 }, planLines(a.plan))),
    !a.plan && el("details", { "data-key": "done" + a.run }, el("summary", {}, a.done.length === 0 ? "Nothing is changed yet" : a.done.length + " changes so far"), el("ul", { class: "plain" }, a.done.map((d) => el("li", {}, el("code", {}, d)))),
      a.params && el("p", {}, Object.entries(a.params).map(([k, v]) => [el("code", {}, k + "=" + said(v)), " "]))));
}

export async function container(main, name) {
  const box = el("div");
  main.append(el("h1", {}, name), box);
  await live(async () => {
    const log = await v1("/containers/" + encodeURIComponent(name) + "/logs");
    return [el("p", { class: "dim" }, log.lines.length === 0 ? "It has printed nothing." : "The last " + log.lines.length + " lines of its log, the newest last."),
      log.lines.length > 0 && el("pre", { class: "log", tabIndex: 0 }, log.lines.join("\n"))];
  }, box);
  const pre = box.querySelector("pre");
  if (pre) pre.scrollTop = pre.scrollHeight;
}

// One page over the API: which view is shown, and when it is drawn again.
import { api, el, trouble, view } from "./dom.js";
import { container, now } from "./now.js";
import { recipe, recipes, runs } from "./recipes.js";
import { run } from "./run.js";

const main = document.getElementById("main");
const line = document.getElementById("line");

function login(box) {
  const input = el("input", { type: "password", name: "token", required: true, autocomplete: "current-password", id: "token", "aria-describedby": "where" });
  const out = el("div");
  box.replaceChildren(el("div", { class: "login" }, el("h1", {}, "Sign in"),
    el("p", {}, "This server deploys to production, so it asks for its token. On the machine where it runs, print it:"),
    el("pre", { id: "where" }, "cat ~/.local/state/mepc-run/serve/token"),
    el("p", { class: "dim" }, "The Debian package keeps it in /var/lib/mepc-run/serve/token. With another --state or --token-file it is where the server's first log line says."),
    el("form", { class: "card", onsubmit: async (ev) => {
      ev.preventDefault();
      try { await api("/page/login", { token: input.value.trim() }); changes = null; route(); } catch (err) { out.replaceChildren(trouble(err)); }
    } }, el("label", { htmlFor: "token" }, "Token", input), el("div", { class: "actions" }, el("button", { class: "main", type: "submit" }, "Sign in")), out)));
  line.textContent = "";
  input.focus();
}

async function route() {
  view.over.forEach((f) => f());
  view.over = [];
  view.again = null;
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [kind, ...rest] = path.split("/");
  const arg = decodeURIComponent(rest.join("/"));
  document.querySelectorAll("nav a").forEach((a) => {
    if (a.getAttribute("href") === "#/" + kind) a.setAttribute("aria-current", "page"); else a.removeAttribute("aria-current");
  });
  const box = el("div");
  main.replaceChildren(box);
  try {
    if (kind === "recipes") await (arg ? recipe(box, arg, query) : recipes(box));
    else if (kind === "runs") await (arg ? run(box, arg) : runs(box, query));
    else if (kind === "containers") await container(box, arg);
    else await now(box);
    const h1 = main.querySelector("h1");
    document.title = (h1 ? h1.textContent + " – " : "") + "mepc-run";
  } catch (err) {
    if (err.status === 401) return login(box);
    box.replaceChildren(trouble(err));
  }
  listen();
}

let changes = null;
function listen() {
  if (changes && changes.readyState !== EventSource.CLOSED) return;
  changes = new EventSource("/api/v1/events");
  changes.addEventListener("open", () => { line.textContent = "live"; line.className = "good"; again(); });
  changes.addEventListener("changed", again);
  changes.addEventListener("error", () => {
    line.textContent = "the server does not answer; trying again";
    line.className = "bad";
    if (changes.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  });
}

const again = () => { if (view.again) Promise.resolve(view.again()).catch(() => {}); };
// Runs that are started by hand, and containers, do not tell the server.
setInterval(() => { if (!document.hidden && line.className === "good") again(); }, 5000);

window.addEventListener("hashchange", () => { route(); main.focus(); });
route();

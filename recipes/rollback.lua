-- Returns to the release before: its containers are still on the engine, stopped.
--
-- Start them, check their health, switch, confirm, drain and stop the release that
-- had the traffic. It is as safe as a deployment, but has no canary: a rollback is
-- urgent. It never returns to a release that is marked bad.
local deployment = require("lib.deployment")
local frontend = require("lib.frontend")
local history = require("lib.history")
local marks = require("lib.marks")
local names = require("lib.names")
local release = require("lib.release")

local shared, declared = deployment.params(), {
  to = {default = "", doc = "the release to return to: its id, its version, or a container's name; empty: the one that served last"},
  reason = {default = "", doc = "why the release that has the traffic is bad; it is then marked bad, and no rollback returns to it"},
}
for _, name in ipairs{"app", "host", "identifier", "health", "wait", "confirm", "confirm_max", "expect", "drain", "drain_max", "admin", "headers", "router_ca"} do
  declared[name] = shared[name]
end
local p = params(declared)

local engine, store = docker.connect(), redis.connect()
names.app(p.app)
lock(p.app, {redis = store}) -- no one else can deploy the app until this run ends
local urls = {}
for _, host in ipairs(p.host) do
  local list = frontend.read(store, host)
  if not list then fail(frontend.key(host) .. " is empty: there is nothing to return from", {kind = "not_found", hint = "is host= right?"}) end
  for _, url in ipairs(list.urls) do urls[#urls + 1] = url end
end
local releases = release.all(engine, p.app)
local serving = release.serving(releases, urls)

local function serves(r)
  for _, s in ipairs(serving) do
    if s == r then return true end
  end
  return false
end

-- The releases to return to: those that served the hosts, newest first. Then those not in
-- the history, the last to end first, unless they served another host.
local served = history.all(store, p.app)
local first = served[names.host(p.host[1])] or {}
local order, elsewhere = {}, history.kept(served, {}, 0).all
for i, entry in ipairs(first) do
  for id in pairs(history.ids{entry}) do order[id] = i end
end
local function rank(r) return order[r.id] or (elsewhere[r.id] or #first > 0) and math.huge or #first + 1 end
table.sort(releases, function(a, b)
  local x, y = rank(a), rank(b)
  if x ~= y then return x < y end
  if (a.ended or 0) ~= (b.ended or 0) then return (a.ended or 0) > (b.ended or 0) end
  return a.name < b.name
end)

-- The first of them that is kept and not marked bad.
local target, passed = nil, {}
for _, r in ipairs(releases) do
  local asked = p.to == "" and not serves(r) and (r.ended or 0) > 0 and rank(r) < math.huge
    or p.to ~= "" and (r.id == p.to or r.version == p.to or r.name == p.to)
  local why = asked and marks.why(store, p.app, r.id)
  if why then
    passed[#passed + 1] = why
  elseif asked then
    target = target or r
  end
end
if not target then
  local kept = {}
  for i, r in ipairs(releases) do kept[i] = r.name end
  fail("there is no release of " .. p.app .. " to return to" .. (#passed > 0 and "; marked as bad: " .. table.concat(passed, "; ") or ""), {
    kind = "not_found",
    hint = "on the engine: " .. (#kept > 0 and table.concat(kept, ", ") or "none") .. "; deploy an older image with bluegreen: docker images lists them"})
end
log("returning to " .. target.name)

p.replicas, p.port, p.advertise = target.replicas, target.spec.port, target.spec.advertise
if not p.port then fail(target.name .. " has no label mepc.port", {hint = "deploy its image with bluegreen"}) end
local d = deployment.open(p, {release = target})
d:start()
if p.reason ~= "" and not d.settled then
  for _, r in ipairs(serving) do
    if r ~= target then marks.bad(store, r, p.reason) end
  end
end
if d.settled then return end
d:switch()
d:confirm()
d:finish()

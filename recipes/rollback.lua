-- Returns to the release before: its containers are still on the engine, stopped.
--
-- Start them, check their health, switch, confirm, drain and stop the release that
-- had the traffic. It is as safe as a deployment, and has no canary on the way:
-- who calls it is in a hurry. A release that is marked bad is never returned to.
local deployment = require("lib.deployment")
local frontend = require("lib.frontend")
local marks = require("lib.marks")
local release = require("lib.release")

local shared, declared = deployment.params(), {
  to = {default = "", doc = "the release to return to: its id, its version, or a container's name; empty: the one that served last"},
  reason = {default = "", doc = "why the release that has the traffic is bad; it is then marked, and no rollback leads to it"},
}
for _, name in ipairs{"app", "host", "identifier", "health", "wait", "confirm", "confirm_max", "expect", "drain", "drain_max", "admin"} do
  declared[name] = shared[name]
end
local p = params(declared)

local engine, store = docker.connect(), redis.connect()
lock(p.app, {redis = store}) -- until the run's end, nobody else deploys the app
local list = frontend.read(store, p.host)
if not list then fail(frontend.key(p.host) .. " is empty: there is nothing to return from", {kind = "not_found", hint = "is host= right?"}) end
local releases = release.all(engine, p.app)
local serving = release.serving(releases, list.urls)

local function serves(r)
  for _, s in ipairs(serving) do
    if s == r then return true end
  end
  return false
end

-- The newest release that served, is kept, and is not bad.
local target, passed = nil, {}
for _, r in ipairs(releases) do
  local asked = p.to == "" and not serves(r) and (r.ended or 0) > 0 or p.to ~= "" and (r.id == p.to or r.version == p.to or r.name == p.to)
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
    hint = "on the engine: " .. (#kept > 0 and table.concat(kept, ", ") or "none") .. "; deploy an older image with bluegreen: docker images shows what there is"})
end
log("returning to " .. target.name)

p.replicas, p.port, p.advertise = target.replicas, target.spec.port, target.spec.advertise
if not p.port then fail(target.name .. " has no label mepc.port", {hint = "deploy its image with bluegreen"}) end
local d = deployment.open(p, target)
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

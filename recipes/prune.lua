-- Removes what earlier releases of an app left on the engine: stopped containers
-- beyond the last `keep` releases, and images of the repository that are older
-- than the one that serves, beyond `retain`. Running containers, and whatever a
-- rollback may need, are never touched.
local deployment = require("lib.deployment")
local frontend = require("lib.frontend")
local history = require("lib.history")
local names = require("lib.names")
local prune = require("lib.prune")
local release = require("lib.release")

local shared = deployment.params()
local p = params{app = shared.app, host = shared.host, keep = shared.keep, retain = shared.retain}

local engine, store = docker.connect(), redis.connect()
names.app(p.app)
lock(p.app, {redis = store}) -- no one else can deploy the app until this run ends
local urls = {}
for _, host in ipairs(p.host) do
  local list = frontend.read(store, host)
  for _, url in ipairs(list and list.urls or {}) do urls[#urls + 1] = url end
end
local serving = release.serving(release.all(engine, p.app), urls)
if #serving ~= 1 then
  fail(#serving .. " releases of " .. p.app .. " serve " .. table.concat(p.host, ", ") .. ", not one", {
    kind = "conflict", hint = "finish the deployment under way first, or correct app= and host="})
end
local current = serving[1]
local image = engine:image(current.spec.image.id)
if current.spec.reference == "" or not image then
  fail(current.name .. " has no label mepc.image", {kind = "not_found", hint = "deploy it again: its containers then get the label"})
end
current.spec.image = image
step("prune", function()
  p.replicas = current.replicas
  prune.run(engine, prune.plan(engine, current, p, history.all(store, p.app)))
 end)

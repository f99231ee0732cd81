-- Removes what earlier releases of an app left on the engine: stopped containers
-- beyond the last `keep` releases, and images of the repository that are older
-- than the one that serves, beyond `retain`. What runs or may be wanted is never
-- touched.
local deployment = require("lib.deployment")
local frontend = require("lib.frontend")
local prune = require("lib.prune")
local release = require("lib.release")

local shared = deployment.params()
local p = params{app = shared.app, host = shared.host, keep = shared.keep, retain = shared.retain}

local engine, store = docker.connect(), redis.connect()
lock(p.app, {redis = store}) -- until the run's end, nobody else deploys the app
local list = frontend.read(store, p.host)
local serving = release.serving(release.all(engine, p.app), list and list.urls or {})
if #serving ~= 1 then
  fail(#serving .. " releases of " .. p.app .. " serve " .. p.host .. ", not one", {
    kind = "conflict", hint = "finish the deployment under way first, or correct app= and host="})
end
local current = serving[1]
local image = engine:image(current.spec.image.id)
if current.spec.reference == "" or not image then
  fail(current.name .. " does not tell its image", {kind = "not_found", hint = "deploy it again: its containers then have the label mepc.image"})
end
current.spec.image = image
step("prune", function() prune.run(engine, prune.plan(engine, current, current.replicas, p.keep, p.retain)) end)

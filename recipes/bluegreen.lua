-- Deploys an image beside the running one and moves the traffic of a host to it.
--
-- Start the new release, check its health directly, switch the routing list in
-- Redis, confirm through the routers, wait until the old release's requests are
-- over, stop it. Whatever fails, traffic goes back first. The first deploy
-- registers the host; a second run with the same image has no effect; a run that
-- was cut off is completed by running it again.
local address = require("lib.address")
local claim = require("lib.claim")
local frontend = require("lib.frontend")
local old = require("lib.old")
local prune = require("lib.prune")
local release = require("lib.release")
local traffic = require("lib.traffic")

local p = params{
  image    = {required = true, doc = "the image to deploy, such as mepc/app:1.1"},
  app      = {default = "app", doc = "name of the application: its containers are called after it"},
  host     = {default = "appserver", doc = "the host whose traffic is switched"},
  identifier = {default = "", doc = "identifier of the host's routing list; empty: the app's name"},
  port     = {type = "integer", default = 8080, min = 1, max = 65535, doc = "the port that the application listens on"},
  replicas = {type = "integer", default = 1, min = 1, max = 100, doc = "how many containers to run"},
  health   = {default = "/", doc = "path that answers below 400 when a container is healthy; empty: the image's HEALTHCHECK"},
  wait     = {type = "duration", default = "60s", doc = "how long a new container may take to become healthy"},
  confirm  = {default = "", doc = "path asked of the new release, and through the routers after the switch; it answers below 400; empty: that of health"},
  confirm_max = {type = "duration", default = "15s", doc = "how long the routers may take to send to the new release only"},
  expect   = {default = "", doc = "text that the new release's answer to it contains, such as its version"},
  drain    = {type = "duration", default = "2s", doc = "how long to wait at least for the old release's requests"},
  drain_max = {type = "duration", default = "60s", doc = "how long to wait at most, where admin tells of requests in flight"},
  admin    = {type = "list", default = {}, doc = "admin URLs of mepc-run routers: the drain is then observed, not guessed"},
  links    = {type = "list", default = {}, doc = "containers to link to, such as db:db"},
  network  = {default = "", doc = "the network to attach to; empty: the engine's default"},
  env      = {type = "list", default = {}, doc = "environment, such as MODE=prod"},
  secrets  = {type = "list", default = {}, doc = "environment from secrets, such as DB_PASSWORD=db_password; a new value alone is no new release"},
  advertise = {default = "", doc = "publish the port and route to it at this address, instead of to the containers' own addresses"},
  publish  = {default = "0.0.0.0", doc = "the engine's address to publish it on"},
  restart  = {type = "enum", values = {"no", "always", "unless-stopped", "on-failure"}, default = "always", doc = "restart policy"},
  keep     = {type = "integer", default = 1, min = 0, doc = "stopped releases to keep, for a quick return"},
  retain   = {type = "integer", default = 5, min = 1, doc = "images of the repository to keep on the engine"},
}
local engine, store = docker.connect(), redis.connect()

-- What is wanted, and what is there.
local image = engine:image(p.image)
if not image then
  fail("the image " .. p.image .. " is not on the engine", {
    kind = "not_found", hint = "docker load or docker pull it there first: docker images shows what there is"})
end
local new = release.of(engine, {
  app = p.app, reference = p.image, image = image, port = p.port, env = p.env, secrets = p.secrets, links = p.links,
  network = p.network, publish = p.publish, advertise = p.advertise, restart = p.restart,
})
local before = frontend.read(store, p.host)
local from, id = before and before.urls or {}, p.identifier ~= "" and p.identifier or p.app
if before and before.id ~= id then
  fail(frontend.key(p.host) .. " belongs to \"" .. before.id .. "\", not to \"" .. id .. "\"", {
    kind = "conflict", hint = "is host= right? identifier=" .. before.id .. " takes its traffic over"})
end

local function urls(containers)
  local list = {}
  for i, c in ipairs(containers) do list[i] = address.url(c, p.port, p.advertise) end
  return list
end

local mine = claim.of(p.app, new.name .. " x" .. p.replicas)
local there = release.running(engine, new, p.replicas)
local settled = there and frontend.same(from, urls(there)) and #old.idle(engine, store, new, p.replicas) == 0
  and prune.plan(engine, new, p.replicas, p.keep, p.retain).count == 0
local path = p.confirm ~= "" and p.confirm or p.health ~= "" and p.health or "/"
if not settled then
  traffic.ready(routers(), p.admin, p.host, path)
  claim.take(store, mine)
end

-- Start: every container of the new release runs and is healthy.
local touched, undo, switched = {}, {}, false
undo[1] = defer("take " .. new.name .. " down", function()
  return release.take_down(engine, touched, frontend.all(store), switched)
end)
local to = step("start " .. new.name, function()
  local replicas, probe, shown = {}, {interval = "200ms", successes = 2, deadline = p.wait}, {interval = "200ms", deadline = p.confirm_max}
  for i = 1, p.replicas do replicas[i] = i end
  if p.health ~= "" then probe.http = {port = p.port, path = p.health, published = p.advertise ~= ""} end
  shown.http = {port = p.port, path = path, contains = p.expect, host = p.host, published = p.advertise ~= ""}
  local _, err = try(parallel.map, replicas, function(replica)
    local name = release.ensure(engine, new, replica, touched)
    engine:wait_healthy(name, probe)
    if path ~= p.health or p.expect ~= "" then engine:wait_healthy(name, shown) end -- what the routers will be asked
  end, {limit = 8})
  if err and not settled then claim.check(store, mine) end -- whoever began later may have stopped it
  if err then error(err) end
  there = release.running(engine, new, p.replicas)
  if not there then fail(new.name .. " was healthy and does not run any more", {kind = "unhealthy", hint = "docker logs " .. new.name}) end
  return urls(there)
end)
if settled then return end

-- Switch. The operator's weights are left alone when the backends stay.
if not frontend.same(from, to) then
  switched = true -- until it is known to be another's doing: what ends the call early may come after it
  undo[2] = defer("send traffic back", function()
    local now = frontend.read(store, p.host)
    if switched and #from > 0 and now and frontend.equal(now.urls, to) then
      frontend.switch(store, p.host, id, to, from)
      local begun = old.left(engine, store, p.app, p.port, to, {})
      traffic.drain(p.admin, begun, p.drain, math.min(p.drain_max, 30))
      now = frontend.read(store, p.host)
    end
    return p.host .. " points to " .. frontend.text(now and now.urls or {})
  end)
  step("switch " .. p.host, function()
    local done, err = try(frontend.switch, store, p.host, id, from, to, mine)
    switched = done or err ~= nil and err.kind ~= "conflict"
    if err then error(err) end
    log(p.host .. " points to " .. frontend.text(to))
  end)
end

-- Confirm and drain. Until here a failure takes the traffic back.
local idle, busy = old.idle(engine, store, new, p.replicas)
if not frontend.same(from, to) or #idle > 0 then
  step("confirm", function()
    traffic.confirm(routers(), p.host, path, p.expect, 10, p.confirm_max, function()
      local now = release.running(engine, new, p.replicas)
      if not now or not frontend.same(urls(now), to) then
        fail("a container of " .. new.name .. " died after the switch", {kind = "unhealthy", hint = "docker logs " .. new.name})
      end
    end)
  end)
end
local left, foreign = old.left(engine, store, p.app, p.port, from, idle)
if #left > 0 then
  step("drain", function() log(traffic.drain(p.admin, left, p.drain, p.drain_max)) end)
end
for _, u in ipairs(undo) do u:cancel() end
defer("tidy up", function()
  return p.host .. " points to " .. new.name .. "; run this again to stop and remove what is left of older releases"
end)

-- Stop what nobody points to, and remove what is old.
for _, line in ipairs(busy) do log(line) end
for _, line in ipairs(foreign) do log(line) end
if #idle > 0 then
  step("stop the old release", function()
    for _, line in ipairs(old.stop(engine, store, new, p.replicas, mine)) do log(line) end
    frontend.revive(store, p.host)
  end)
end
step("prune", function()
  local plan = prune.plan(engine, new, p.replicas, p.keep, p.retain)
  if claim.held(store, mine) then prune.run(engine, plan) end
end)

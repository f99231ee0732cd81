-- One deployment of a release beside the running one, in the parts that every
-- strategy is made of: start, switch, confirm, finish. bluegreen.lua is these four
-- in a row; a strategy of your own puts something in between, or moves the
-- traffic in several switches. Whatever fails before finish, traffic goes back
-- first, then what was started is taken down.
local address = require("lib.address")
local frontend = require("lib.frontend")
local marks = require("lib.marks")
local old = require("lib.old")
local prune = require("lib.prune")
local release = require("lib.release")
local split = require("lib.split")
local traffic = require("lib.traffic")

local M = {}
M.__index = M

-- The parameters that every strategy takes, and those of `more`.
function M.params(more)
  local all = {
    image    = {required = true, doc = "the image to deploy, such as mepc/app:1.1"},
    app      = {default = "app", doc = "name of the application: its containers are called after it"},
    host     = {default = "appserver", doc = "the host whose traffic is switched"},
    identifier = {default = "", doc = "identifier of the host's routing list; empty: the app's name"},
    dialect  = {type = "enum", values = {"hipache", "traefik"}, default = "hipache", doc = "what reads the routing: hipache is mepc-run router, Hipache and planb; with traefik the keys of Traefik's Redis provider follow"},
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
  for name, declared in pairs(more or {}) do all[name] = declared end
  return all
end

-- Takes the app's lock, and looks what is wanted and what is there. `p` are the
-- values of M.params. `new` is the release to deploy; that of p.image when it is
-- not given. Returns the deployment: {p, engine, store, new, from (the backends
-- now), settled (nothing to do)}.
function M.open(p, new)
  local d = setmetatable({p = p, engine = docker.connect(), store = redis.connect(), touched = {}, undo = {}}, M)
  d.mine = lock(p.app, {redis = d.store}) -- until the run's end, nobody else deploys the app
  d.new = new or M.release(d.engine, p)
  local before = frontend.read(d.store, p.host)
  d.from, d.id = before and before.urls or {}, p.identifier ~= "" and p.identifier or p.app
  if before and before.id ~= d.id then
    fail(frontend.key(p.host) .. " belongs to \"" .. before.id .. "\", not to \"" .. d.id .. "\"", {
      kind = "conflict", hint = "is host= right? identifier=" .. before.id .. " takes its traffic over"})
  end
  d.owners, d.outside = old.owners(d.engine, d.from), {}
  d.path = p.confirm ~= "" and p.confirm or p.health ~= "" and p.health or "/"
  local there = release.running(d.engine, d.new, p.replicas)
  d.settled = there and frontend.same(d.from, d:urls(there)) and frontend.followed(d.store, p.host, d.from, p.dialect) and #old.idle(d.engine, d.store, d.new, p.replicas) == 0
    and (not p.retain or prune.plan(d.engine, d.new, p.replicas, p.keep, p.retain).count == 0)
  if not d.settled then
    traffic.ready(routers(), p.admin, p.host, d.path)
    for _, url in ipairs(d.from) do
      if not d.owners[url] then d.outside[url] = traffic.answers(url, p.host, d.path) end
    end
  end
  return d
end

-- The release of p.image with the configuration in p.
function M.release(engine, p)
  local image = engine:image(p.image)
  if not image then
    fail("the image " .. p.image .. " is not on the engine", {
      kind = "not_found", hint = "docker load or docker pull it there first: docker images shows what there is"})
  end
  return release.of(engine, {
    app = p.app, reference = p.image, image = image, port = p.port, env = p.env, secrets = p.secrets, links = p.links,
    network = p.network, publish = p.publish, advertise = p.advertise, restart = p.restart,
  })
end

-- Where routers reach the containers.
function M:urls(containers)
  local list = {}
  for i, c in ipairs(containers) do list[i] = address.url(c, self.p.port, self.p.advertise) end
  return list
end

function M:name(replica) return release.container_name(self.new, replica) end

-- How a container's health is asked for, as engine:wait_healthy takes it.
function M:probe()
  local p, probe = self.p, {interval = "200ms", successes = 2, deadline = self.p.wait}
  if p.health ~= "" then probe.http = {port = p.port, path = p.health, published = p.advertise ~= ""} end
  return probe
end

-- Brings up the release's container number `replica`, and waits until it is
-- healthy and answers what the routers will be asked.
function M:bring_up(replica)
  local p = self.p
  local name = release.ensure(self.engine, self.new, replica, self.touched)
  self.engine:wait_healthy(name, self:probe())
  if self.path ~= p.health or p.expect ~= "" then
    self.engine:wait_healthy(name, {interval = "200ms", deadline = p.confirm_max, http = {
      port = p.port, path = self.path, contains = p.expect, host = p.host, published = p.advertise ~= ""}})
  end
end

-- Registers, once, that what this run started is taken down when it fails.
function M:take_down_on_failure()
  if self.undo[1] then return end
  self.undo[1] = defer("take " .. self.new.name .. " down", function()
    return release.take_down(self.engine, self.touched, frontend.all(self.store), self.switched)
  end)
end

-- Starts every container of the new release, and waits until all are healthy.
-- Afterwards self.to has their backends. `what` is the step's name.
function M:start(what)
  self:take_down_on_failure()
  self.to = step(what or "start " .. self.new.name, function()
    local replicas = {}
    for i = 1, self.p.replicas do replicas[i] = i end
    local _, err = try(parallel.map, replicas, function(i) self:bring_up(i) end, {limit = 8})
    if err then error(err) end
    local there = release.running(self.engine, self.new, self.p.replicas)
    if not there then
      fail(self.new.name .. " was healthy and does not run any more", {kind = "unhealthy", hint = "docker logs " .. self.new.name})
    end
    self.restarts = {}
    for _, c in ipairs(there) do self.restarts[c.id] = c.restarts end
    return self:urls(there)
  end)
  self.old = self:serving(split.without(self.from, self.to))
  if #self.old > 0 and #self.old < #self.from then
    -- An earlier run was cut off with part of the traffic here. What goes back goes
    -- all the way, and the new release is taken down with it.
    self.back = self.back or self.old
    for i = 1, self.p.replicas do self.touched[self:name(i)] = self.touched[self:name(i)] or "started" end
  end
end

-- Points the host to the backends `to` (self.to when it is not given). A later
-- failure points it back to where it was at first. The operator's weights are left
-- alone when the backends stay. `what` is the step's name.
function M:switch(to, what)
  to = to or self.to
  local from = self.now or self.from
  local same = to == self.to and not self.now and frontend.same or frontend.equal
  local p = self.p
  if same(from, to) then
    frontend.check(self.store, p.host, from)
    if not frontend.followed(self.store, p.host, from, p.dialect) then
      self.told = true
      step(what or "switch " .. p.host, function() frontend.switch(self.store, p.host, self.id, from, from, self.mine, p.dialect) end)
    end
    return frontend.revive(self.store, p.host) -- what was not there for a while may be marked
  end
  self.switched, self.going = true, to -- until it is known to be another's doing: what ends the call early may come after it
  self.undo[2] = self.undo[2] or defer("send traffic back", function()
    local list = frontend.read(self.store, p.host)
    local ours = list and (frontend.equal(list.urls, self.going) or self.now and frontend.equal(list.urls, self.now))
    local back = self.back or self.from
    if self.switched and #back > 0 and ours and not frontend.equal(list.urls, back) and self:there(back) then
      frontend.switch(self.store, p.host, self.id, list.urls, back, nil, p.dialect)
      local begun = old.left(self.engine, self.store, p.app, p.port, list.urls, {})
      traffic.drain(p.admin, begun, p.drain, math.min(p.drain_max, 30))
      list = frontend.read(self.store, p.host)
    end
    return p.host .. " points to " .. frontend.text(list and list.urls or {})
  end)
  step(what or "switch " .. p.host, function()
    local done, err = try(frontend.switch, self.store, p.host, self.id, from, to, self.mine, p.dialect)
    self.switched = self.now ~= nil or done or err ~= nil and err.kind ~= "conflict"
    if err then error(err) end
    self.now = to
    log(p.host .. " points to " .. frontend.text(to))
  end)
end

-- Those of the backends `urls` where something was when the deployment began: a Redis
-- that came back with old data lists what is gone.
function M:serving(urls)
  local list = {}
  for _, url in ipairs(urls) do
    if self.outside[url] ~= false then list[#list + 1] = url end
  end
  return list
end

-- Whether what ran at the backends `urls` when the deployment began still does. What
-- is on no container of the engine did when it answered.
function M:there(urls)
  for _, url in ipairs(urls) do
    local id, outside = self.owners[url], self.outside[url]
    local c = id and self.engine:find(id)
    if id and not (c and c.state.running and address.answers(c, url)) then return false end
    if outside == false or outside and not traffic.answers(url, self.p.host, self.path) then return false end
  end
  return true
end

-- Raises when the new release does not run, where the traffic was sent, any more.
function M:alive()
  local there = release.running(self.engine, self.new, self.p.replicas)
  if not there or not frontend.same(self:urls(there), self.to) then
    fail("a container of " .. self.new.name .. " died after the switch", {kind = "unhealthy", hint = "docker logs " .. self.new.name})
  end
  for _, c in ipairs(there) do
    if c.restarts > (self.restarts[c.id] or 0) then
      fail(c.name .. " died after the switch, and was restarted by its policy", {kind = "unhealthy", hint = "docker logs " .. c.name})
    end
  end
end

-- Waits until every router sends to the new release only, if something changed.
function M:confirm()
  self.idle, self.busy = old.idle(self.engine, self.store, self.new, self.p.replicas)
  if frontend.same(self.from, self.to) and not self.now and not self.told and #self.idle == 0 and not next(self.touched) then return end
  step("confirm", function()
    traffic.confirm(routers(), self.p.host, self.path, self.p.expect, 10, self.p.confirm_max, function() self:alive() end)
  end)
end

-- Waits until the old release's requests are over, then stops what nobody points
-- to and removes what is old. From here on nothing is taken back. `from` are the
-- backends that may still have requests: self.from when it is not given.
function M:finish(from)
  local p = self.p
  local left, foreign = old.left(self.engine, self.store, p.app, p.port, from or self.from, self.idle)
  if #left > 0 then
    step("drain", function() log(traffic.drain(p.admin, left, p.drain, p.drain_max)) end)
  end
  for _, u in pairs(self.undo) do u:cancel() end
  defer("tidy up", function()
    return p.host .. " points to " .. self.new.name .. "; run this again to stop and remove what is left of older releases"
  end)
  for _, line in ipairs(self.busy) do log(line) end
  for _, line in ipairs(foreign) do log(line) end
  frontend.tidy(self.store, p.host, p.dialect) -- before the old release is stopped: a run that is cut off then begins again here
  if #self.idle > 0 then
    step("stop the old release", function()
      for _, line in ipairs(old.stop(self.engine, self.store, self.new, p.replicas)) do log(line) end
      frontend.revive(self.store, p.host)
    end)
  end
  step("prune", function()
    marks.clear(self.store, self.new)
    if not p.retain then return end
    prune.run(self.engine, prune.plan(self.engine, self.new, p.replicas, p.keep, p.retain))
  end)
end

return M

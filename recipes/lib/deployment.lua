-- Deploys a release beside the running one, in the steps that every strategy is
-- made of: start, switch, confirm, finish. bluegreen.lua is these four in a row.
-- A strategy of your own puts something in between, or moves the traffic in
-- several switches. If anything fails before finish, traffic goes back first;
-- then what was started is taken down.
local address = require("lib.address")
local frontend = require("lib.frontend")
local history = require("lib.history")
local marks = require("lib.marks")
local names = require("lib.names")
local node = require("lib.node")
local options = require("lib.options")
local release = require("lib.release")
local route = require("lib.route")
local split = require("lib.split")
local traffic = require("lib.traffic")

---@class deployment
---@field p table the values of the parameters
---@field settled boolean whether everything is as wanted already; then start() only checks that, and nothing else is needed
---@field store redis the connection to the Redis that has the routing lists
---@field nodes node[] the engines, one for most deployments
---@field route route the routing lists of the hosts
---@field from string[] the hosts' backends when the deployment began
---@field to string[] the new release's backends, from start() on
---@field old string[] the backends of `from` that the new release replaces, from start() on
---@field path string the path that a healthy release answers; nil: no request is made
local M = {}
M.__index = M

-- Returns the parameters that every strategy takes, and those of `more`.
function M.params(more)
  local all = {
    image    = {required = true, doc = "the image to deploy, such as mepc/app:1.1"},
    app      = {default = "app", doc = "the name of the application: its containers are named after it"},
    host     = {type = "list", default = {"appserver"}, doc = "the host whose traffic is switched; several are switched in one transaction"},
    identifier = {default = "", doc = "the identifier of the hosts' routing lists; empty: the app's name"},
    dialect  = {type = "enum", values = {"hipache", "traefik"}, default = "hipache", doc = "what reads the routing: hipache for mepc-run router, Hipache and planb; traefik also keeps the keys of Traefik's Redis provider, from then on"},
    pull     = {type = "enum", values = {"never", "missing", "always"}, default = "never", doc = "when the engine pulls the image: never, when it lacks it, or each time"},
    port     = {type = "integer", min = 1, max = 65535, doc = "the port that the application listens on; default: the one that the image exposes, else 8080"},
    replicas = {type = "integer", min = 1, max = 100, doc = "how many containers to run; default: as many as serve now, else 1"},
    health   = {default = "/", doc = "path that answers with a status of 200 to 299 when a container is healthy; empty: the image's HEALTHCHECK decides"},
    wait     = {type = "duration", default = "60s", doc = "how long a new container may take to become healthy"},
    confirm  = {default = "", doc = "path to request from the new release, and through the routers after the switch; it must answer with 200 to 299; empty: that of health"},
    confirm_max = {type = "duration", default = "15s", doc = "how long the routers may take to send to the new release only"},
    expect   = {default = "", doc = "text that the new release's answer must contain, such as its version"},
    headers  = {type = "map", default = {}, doc = "header fields of these requests, such as headers=Authorization=...; Host and X-Forwarded-Proto are set as the routers set them"},
    router_ca = {default = "", doc = "a file with the certificates (PEM) to trust for https routers, in place of the system's"},
    drain    = {type = "duration", default = "2s", doc = "how long to wait at least for the old release's requests"},
    drain_max = {type = "duration", default = "60s", doc = "how long to wait at most, if admin tells of requests in flight"},
    admin    = {type = "list", default = {}, doc = "admin URLs of mepc-run routers: the drain is then observed, not guessed"},
    advertise = {default = "", doc = "publish the port and route to it at this address, instead of to the containers' own addresses"},
    publish  = {default = "0.0.0.0", doc = "the engine's address to publish the port on"},
    keep     = {type = "integer", default = 1, min = 0, doc = "stopped releases to keep, for a quick return"},
    retain   = {type = "integer", default = 5, min = 1, doc = "images of the repository to keep on the engine"},
  }
  for name, declared in pairs(options.params) do all[name] = declared end
  for name, declared in pairs(more or {}) do all[name] = declared end
  return all
end

-- Returns the nodes of a deployment: one for each of p.engines, written URL=ADDRESS, or
-- one for the run's own engine.
local function nodes(p)
  if not p.engines then return {node.new(docker.connect(), p, names.advertise(p.advertise))} end
  local list, taken = {}, {}
  for i, text in ipairs(p.engines) do
    local url, advertise = text:match("^(.+)=([^=/]+)$")
    advertise = url and names.advertise(advertise)
    if not url or taken[url] then
      fail("engines: " .. text .. (url and " is listed twice" or " is not URL=ADDRESS"), {
        kind = "invalid_argument", hint = "write it like ssh://deploy@10.0.0.11=10.0.0.11, with the address that routers reach it by"})
    end
    taken[url] = true
    list[i] = node.new(docker.connect(url), p, advertise, url)
  end
  return list
end

-- Returns the image p.image of `engine`, pulled as p.pull says.
local function image(engine, p)
  local found = p.pull ~= "always" and engine:image(p.image) or nil
  if not found and (p.pull == "always" or p.pull == "missing") then
    step("pull " .. p.image, function() engine:pull(p.image) end)
    found = engine:image(p.image)
  end
  return found or fail("the image " .. p.image .. " is not on the engine", {
    kind = "not_found", hint = "docker load or docker pull it there first, or use pull=missing; docker images lists what the engine has"})
end

-- Returns the port that the image listens on, for callers that name none.
local function exposed(found)
  local ports = {}
  for _, text in ipairs(found.exposed) do ports[#ports + 1] = tonumber(text:match("^(%d+)/tcp$")) end
  if #ports > 1 then
    fail("the image exposes " .. table.concat(found.exposed, ", "), {kind = "invalid_argument", hint = "name the one to route to with port="})
  end
  return ports[1] or 8080
end

-- Returns how many containers serve on the engine that has most, for the release that has
-- most: an interrupted canary does not lower the number.
local function serving_now(d)
  local most, counts, seen = 0, {}, {}
  for _, owner in pairs(d.owners) do
    local c = owner.container
    counts[owner.node] = counts[owner.node] or {}
    local of, id = counts[owner.node], c.labels["mepc.release"] or ""
    if not seen[c.id] then
      seen[c.id], of[id] = true, (of[id] or 0) + 1
      most = math.max(most, of[id])
    end
  end
  return most
end

-- Takes the app's lock, and compares what is wanted with what exists. `p` holds the values
-- of M.params. `from` may have `container`, options of docker.create for every container;
-- `release`, a release to deploy in place of p.image; and `source`, the engine to look for
-- the image on.
---@return deployment
function M.open(p, from)
  local given = from or {}
  names.app(p.app)
  local d = setmetatable({p = p, nodes = nodes(p), undos = {}, outside = {}, owners = {}}, M)
  d.store = redis.connect()
  local mine = lock(p.app, {redis = d.store}) -- no one else can deploy the app until this run ends
  d:each(function(n)
    local found = not given.release and image(given.source or n.engine, p)
    p.port = p.port or exposed(found)
    n.release = given.release or release.of(n.engine, {
      app = p.app, reference = p.image, image = found, port = p.port, advertise = n.advertise, among = n.name ~= nil,
      options = options.of(p, n.advertise, given.container)})
  end)
  d.route = route.open(d.store, p, mine)
  d.from = d.route:backends() -- stays as it was when the run began
  d:each(function(n)
    for url, c in pairs(n:owners(d.from)) do d.owners[url] = {node = n, container = c} end
  end)
  local before = serving_now(d)
  p.replicas = p.replicas or math.max(1, before)
  d.path = p.confirm ~= "" and p.confirm or p.health ~= "" and p.health or p.expect ~= "" and "/" or nil
  d.asking = {path = d.path or "/", expect = p.expect, headers = p.headers, ca = p.router_ca}
  d.settled = d:is_settled()
  if d.settled then return d end
  if before > 0 and before ~= p.replicas then log("replicas: " .. before .. " serve now, " .. p.replicas .. " are to") end
  d:each(function(n) n:check_platform() end)
  traffic.ready(routers(), p.admin, d.route.hosts[1], d.asking, d.from)
  for _, url in ipairs(d.from) do
    if not d.owners[url] then d.outside[url] = traffic.answers(url, d.route.hosts[1], d.asking.path) end
  end
  return d
end

-- Calls fn for every node, several at a time. Errors name the node.
function M:each(fn)
  if #self.nodes == 1 then return fn(self.nodes[1]) end
  local _, err = try(parallel.map, self.nodes, function(n)
    local _, failed = try(fn, n)
    if failed then log.error(n.name .. ": " .. failed.message) end
    if failed then error(failed) end
  end, {limit = self.p.limit})
  if err then error(err) end
end

-- Returns the containers of the release on all nodes, or nil when one of them does not run.
function M:running()
  local all = {}
  for _, n in ipairs(self.nodes) do
    local there = n:running()
    if not there then return nil end
    for _, url in ipairs(n:urls(there)) do all[#all + 1] = url end
  end
  return all
end

-- Returns the app's containers that are no longer needed; and, in words, those that a host
-- still points to.
function M:idle(pointing)
  local idle, busy = {}, {}
  for _, n in ipairs(self.nodes) do
    local some, lines = n:idle(pointing)
    for _, c in ipairs(some) do idle[#idle + 1] = c end
    for _, line in ipairs(lines) do busy[#busy + 1] = line end
  end
  return idle, busy
end

-- Reports whether everything is as wanted already.
function M:is_settled()
  local urls = self:running()
  if not urls or not self.route:leads_to(urls) or #self:idle(frontend.all(self.store)) > 0 then return false end
  local served = history.all(self.store, self.p.app)
  for _, host in ipairs(self.route.hosts) do
    if not history.is_last(served, host, self:id()) then return false end
  end
  for _, n in ipairs(self.p.retain and self.nodes or {}) do
    if n:prunable(served).count > 0 then return false end
  end
  return true
end

-- Registers, once by name, what to do when the run fails before finish.
function M:undo(name, fn) self.undos[name] = self.undos[name] or defer(name, fn) end

-- Returns the new release's name in the history: its id, or those on the engines.
function M:id()
  local ids, seen = {}, {}
  for _, n in ipairs(self.nodes) do
    if not seen[n.release.id] then ids[#ids + 1] = n.release.id end
    seen[n.release.id] = true
  end
  table.sort(ids)
  return table.concat(ids, "+")
end

-- Returns the new release's name.
function M:name() return self.nodes[1].release.name end

-- Takes down what this run started when it fails.
function M:take_down_on_failure()
  self:undo("take " .. self:name() .. " down", function()
    local pointing, gently, said = frontend.all(self.store), self.route.sent ~= nil, {}
    if #self.nodes == 1 then return self.nodes[1]:take_down(pointing, gently) end
    for i, n in ipairs(self.nodes) do
      local text, err = try(n.take_down, n, pointing, gently)
      said[i] = n.name .. ": " .. (err and err.message or text)
    end
    return table.concat(said, "\n")
  end)
end

-- Ships the image from the engine `source` to the nodes that lack it.
function M:ship(source)
  self:take_down_on_failure()
  step("ship " .. self.p.image, function()
    local engines = {}
    for i, n in ipairs(self.nodes) do engines[i] = n.engine end
    local shipped = docker.ship{
      image = self.p.image, from = source, to = engines, concurrency = math.min(self.p.limit, 64), compress = self.p.compress}
    log(shipped.bytes .. " bytes sent to " .. #engines .. " engines, " .. shipped.saved .. " saved")
    self:each(function(n) n.release.spec.image = n.engine:image(self.p.image) end)
  end)
end

-- Starts every container of the new release, and waits until all are healthy.
-- Afterwards self.to holds their backends, and self.old those that they replace.
-- `what` is the step's name.
function M:start(what)
  self:take_down_on_failure()
  local at = #self.nodes > 1 and " on " .. #self.nodes .. " engines" or ""
  self.to = step(what or "start " .. self:name() .. at, function()
    local by_node, all = {}, {}
    self:each(function(n)
      local function start() by_node[n] = n:start(self.path) end
      if n.name then step(n.name, start) else start() end
    end)
    for _, n in ipairs(self.nodes) do
      for _, url in ipairs(by_node[n]) do all[#all + 1] = url end
    end
    return all
  end)
  self.old = self:serving(split.without(self.from, self.to))
  if #self.old > 0 and #self.old < #self.from then
    -- An interrupted run left part of the traffic here. A failure sends all of it back,
    -- and takes the new release down.
    self.route:rehome(function(urls) return self:serving(split.without(urls, self.to)) end)
    for _, n in ipairs(self.nodes) do n:adopt() end
  end
end

-- Points the hosts to `to`: backends, or a function that makes them from a host's current
-- and first ones; self.to by default. A later failure points them back to the first ones.
function M:switch(to, what)
  to = to or self.to
  if self.route:leads_to(to) then return self.route:check() end
  self:undo("send traffic back", function()
    local left = self.route:back(function(home) return self:there(home) end)
    if #left > 0 then self:drain((self:left(left, {}, frontend.all(self.store))), 30) end
    self.route:tidy()
    return self.route:text()
  end)
  self.route:send(to, what)
end

-- Makes a failure lead to the old containers' current addresses: those that were stopped
-- and started again may have new ones. The new release's are left out.
function M:rehome()
  self.route:rehome(function(urls)
    local back = {}
    for _, url in ipairs(urls) do
      local owner = self.owners[url]
      local was = owner and owner.container.labels["mepc.app"] == self.p.app and owner.container
      local c = was and not release.is(was, owner.node.release) and owner.node.engine:find(was.name)
      if c and c.state.running then back[#back + 1] = address.url(c, self.p.port, c.labels["mepc.advertise"] or "") end
      if not was then back[#back + 1] = url end
    end
    return back
  end)
end

-- Waits until the requests to the backends `urls` have ended, `most` seconds at most.
-- Returns what was seen, in words.
function M:drain(urls, most)
  local p = self.p
  return traffic.drain(p.admin, urls, self.route.hosts, p.drain + self.route:lag(), math.min(p.drain_max, most or p.drain_max))
end

-- Gives the new release `percent` of each host's traffic, 1 to 99; self.old keeps the rest.
function M:share(percent)
  self:switch(function(_, home)
    local old = self:serving(split.without(home, self.to))
    return #old > 0 and split.list(old, self.to, percent) or self.to
  end, "send " .. percent .. " % of " .. self.route.name .. " to " .. self:name())
end

-- Marks the new release as bad, so that no rollback returns to it.
function M:mark_bad(reason)
  for _, n in ipairs(self.nodes) do marks.bad(self.store, n.release, reason) end
end

-- Returns the container that was at the backend `url` when the deployment began, or nil.
function M:owner(url) return self.owners[url] and self.owners[url].container end

-- Returns the backends among `urls` where something was when the deployment began: a Redis
-- that came back with old data may list what is gone.
function M:serving(urls)
  local list = {}
  for _, url in ipairs(urls) do
    if self.outside[url] ~= false then list[#list + 1] = url end
  end
  return list
end

-- Reports whether what ran at the backends `urls` when the deployment began still does.
-- Backends outside the engines count as running if they answered.
function M:there(urls)
  for _, url in ipairs(urls) do
    local owner, outside = self.owners[url], self.outside[url]
    if owner and not owner.node:still(owner.container, url) then return false end
    if outside == false or outside and not traffic.answers(url, self.route.hosts[1], self.asking.path) then return false end
  end
  return true
end

-- Raises when the new release no longer runs where the traffic was sent.
function M:alive()
  for _, n in ipairs(self.nodes) do n:alive(self.to) end
end

-- Reports whether this run did, or has to do, anything.
function M:worked()
  if self.route.changed then return true end
  for _, n in ipairs(self.nodes) do
    if next(n.touched) then return true end
  end
  return #self:idle(frontend.all(self.store)) > 0
end

-- Waits until every router sends to the new release only, if something changed.
function M:confirm()
  if not self:worked() then return end
  step("confirm", function()
    if not self.path then
      log.warn("health is empty: not confirmed that " .. self.route.name .. " answers with the new release")
      return self:alive()
    end
    for _, host in ipairs(self.route.hosts) do
      traffic.confirm(routers(), host, self.asking, self.p.confirm_max, function() self:alive() end)
    end
  end)
end

-- Returns the backends that no host points to any more: those of `from`, and the addresses
-- of the containers `idle`. Also, in words, those where no release of the app runs, which
-- are left running. `pointing` comes from frontend.all.
function M:left(from, idle, pointing)
  local urls, foreign, pointed, owners = {}, {}, {}, {}
  for _, at in ipairs(pointing) do pointed[at.url] = true end
  for _, n in ipairs(self.nodes) do
    for url, c in pairs(n:owners(from)) do owners[url] = c end
  end
  for _, url in ipairs(from) do
    local c = owners[url]
    if not pointed[url] then
      urls[#urls + 1] = url
      if not c or c.labels["mepc.app"] ~= self.p.app then
        foreign[#foreign + 1] = url .. (c and " (" .. c.name .. ")" or "") ..
          " has no traffic any more; it is not a release of " .. self.p.app .. ": it is left running"
      end
    end
    pointed[url] = true -- one that was listed twice is reported once
  end
  for _, c in ipairs(idle) do
    for _, url in ipairs(address.urls(c, self.p.port)) do urls[#urls + 1] = url end
  end
  return urls, foreign
end

-- Waits until the old release's requests have ended, then stops what no host points to
-- and removes what is old. From here on nothing is undone. `from` holds the backends that
-- may still have requests: self.from by default.
function M:finish(from)
  local p = self.p
  local pointing = frontend.all(self.store)
  local idle, busy = self:idle(pointing)
  local left, foreign = self:left(from or self.from, idle, pointing)
  if #left > 0 then
    step("drain", function() log(self:drain(left)) end)
  end
  for _, undo in pairs(self.undos) do undo:cancel() end
  defer("tidy up", function()
    return self.route.name .. " points to " .. self:name() .. "; run this again to stop and remove the rest of older releases"
  end)
  for _, line in ipairs(busy) do log(line) end
  for _, line in ipairs(foreign) do log(line) end
  self.route:tidy() -- before the old release is stopped: after an interruption, the next run begins here
  history.record(self.store, p.app, self.route.hosts, self:id(), p.keep)
  if #idle > 0 then
    step("stop the old release", function()
      self:each(function(n)
        for _, line in ipairs(n:stop_idle(self.store)) do log((n.name and n.name .. ": " or "") .. line) end
      end)
      self.route:revive()
    end)
  end
  step("prune", function()
    local served = history.all(self.store, p.app)
    self:each(function(n)
      marks.clear(self.store, n.release)
      if p.retain then n:prune(served) end
    end)
  end)
end

-- Logs what serves, and where.
function M:tell()
  log(self.p.image .. " serves " .. self.route.name .. " on " .. #self.nodes .. " engines")
  local width = 0
  for _, n in ipairs(self.nodes) do width = math.max(width, #n.name) end
  for _, n in ipairs(self.nodes) do
    log(("%-" .. width .. "s  %-7s  %s"):format(n.name, next(n.touched) and "started" or "ran", table.concat(n:urls(n:running() or {}), " ")))
  end
end

return M

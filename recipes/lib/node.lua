-- One engine of a deployment: the app's containers there, those of the new release and
-- those that it replaces. Most deployments have one node, a fleet has several. Nothing
-- here stops a container that any host points to.
local address = require("lib.address")
local frontend = require("lib.frontend")
local prune = require("lib.prune")
local release = require("lib.release")
local traffic = require("lib.traffic")
---@class node
---@field engine docker.engine the engine
---@field release table its release: {id, version, app, name, spec}
---@field advertise string the address that routers reach it by; empty: the containers' own
---@field name string its name in messages; nil if it is the only one
---@field touched table what this run created or started, by container
local M = {}
M.__index = M

-- Returns a node. `p` holds the values of deployment.params, `advertise` the address that
-- routers reach the engine by, empty for the containers' own. `name` is the engine's name
-- in messages; nil if it is the only one.
---@return node
function M.new(engine, p, advertise, name)
  return setmetatable({engine = engine, p = p, advertise = advertise, name = name, touched = {}, restarts = {}}, M)
end

-- Returns the release's containers 1 to p.replicas, or nil when one of them does not run.
function M:running() return release.running(self.engine, self.release, self.p.replicas) end

-- Returns the release's containers by replica.
function M:containers() return release.containers(self.engine, self.release) end

-- Returns the URLs by which routers reach the containers.
function M:urls(containers)
  local list = {}
  for i, c in ipairs(containers) do list[i] = address.url(c, self.p.port, self.advertise) end
  return list
end

-- Returns the URL by which routers reach the release's container number `replica`.
function M:url(replica) return self:urls{self:containers()[replica]}[1] end

-- Refuses an image built for another kind of machine.
function M:check_platform()
  local image = self.release.spec.image
  local at = image.arch and self.engine:version()
  if at and image.arch ~= "" and (image.arch ~= at.arch or image.os ~= at.os) then
    fail(self.release.spec.reference .. " is for " .. image.os .. "/" .. image.arch .. ", and the engine" ..
      (self.name and " " .. self.name or "") .. " is " .. at.os .. "/" .. at.arch, {
        kind = "invalid_argument", hint = "build it with --platform " .. at.os .. "/" .. at.arch .. ", or pull that one"})
  end
end

-- Returns the request that routers will make, as engine:wait_healthy takes it.
function M:question(path, contains)
  local p, headers = self.p, {["X-Forwarded-Proto"] = traffic.scheme(routers())}
  for name, value in pairs(p.headers or {}) do headers[name] = value end
  return {port = p.port, path = path, contains = contains, host = p.host[1], headers = headers, published = self.advertise ~= ""}
end

-- Returns the health check, as engine:wait_healthy takes it.
function M:probe()
  local p = self.p
  return {interval = "200ms", successes = 2, deadline = p.wait, http = p.health ~= "" and self:question(p.health) or nil}
end

-- Waits for a container. Hints name the recipe's parameters.
function M:wait_healthy(name, probe, parameter)
  local how, err = try(self.engine.wait_healthy, self.engine, name, probe)
  if not err then return how end
  local hint = (err.hint or ""):gsub("raise the deadline", "raise " .. parameter .. "=")
  local exposed = self.release.spec.image.exposed or {}
  if probe.http and #exposed > 0 and not frontend.lists(exposed, self.p.port .. "/tcp") then
    hint = "the image exposes " .. table.concat(exposed, ", ") .. ", but port is " .. self.p.port .. "; " .. hint
  end
  err.hint = hint
  error(err)
end

-- Brings up the release's container number `replica`, and waits until it is healthy
-- and answers `path` as the routers will request it; nil: no request is made. `there` comes
-- from self:containers.
function M:bring_up(replica, path, there)
  local p = self.p
  local name = release.ensure(self.engine, self.release, replica, self.touched, there)
  self.restarts[name] = self:wait_healthy(name, self:probe(), "wait").restarts
  if path and (path ~= p.health or p.expect ~= "") then
    self:wait_healthy(name, {interval = "200ms", deadline = p.confirm_max, http = self:question(path, p.expect)}, "confirm_max")
  end
end

-- Raises when nothing answers at the addresses for the routers.
function M:reachable(urls, path)
  for _, url in ipairs(self.advertise ~= "" and urls or {}) do
    if not traffic.answers(url, self.p.host[1], path or "/") then
      fail("the new release is healthy, but nothing answers at " .. url .. ", where routers would be sent", {
        kind = "unhealthy", hint = "is advertise=" .. self.advertise .. " an address of the engine's machine, and publish=" .. self.p.publish .. " open to the routers?"})
    end
  end
end

-- Starts the containers again that release.retire stopped, given as they were before, and
-- waits for them.
function M:start_again(containers)
  parallel.map(containers, function(c)
    self.engine:update(c.name, {restart = c.restart})
    self.engine:start(c.name)
    self.engine:wait_healthy(c.name, self:probe())
  end, {limit = 8})
end

-- Brings up all containers of the release. Returns their backends.
function M:start(path)
  local replicas = {}
  for i = 1, self.p.replicas do replicas[i] = i end
  local before = self:containers()
  parallel.map(replicas, function(i) self:bring_up(i, path, before) end, {limit = 8})
  local there = self:running()
  if not there then
    fail(self.release.name .. " was healthy, but stopped running", {kind = "unhealthy", hint = "docker logs " .. self.release.name})
  end
  local urls = self:urls(there)
  self:reachable(urls, path)
  return urls
end

-- Raises unless the release still runs as it was started, at the backends `urls`.
function M:alive(urls)
  local there = self:running()
  for _, url in ipairs(there and self:urls(there) or {}) do
    if not frontend.lists(urls, url) then there = nil end
  end
  if not there then
    fail("a container of " .. self.release.name .. " died after the switch", {kind = "unhealthy", hint = "docker logs " .. self.release.name})
  end
  for _, listed in ipairs(there) do
    local c = self.engine:inspect(listed.id)
    if c.restarts > (self.restarts[c.name] or 0) then
      fail(c.name .. " died after the switch, and was restarted by its policy", {kind = "unhealthy", hint = "docker logs " .. c.name})
    end
  end
end

-- Takes over what an earlier run began here: it is taken down with the rest.
function M:adopt()
  for i, c in pairs(self:containers()) do
    if i <= self.p.replicas then self.touched[c.name] = self.touched[c.name] or "started" end
  end
end

-- Takes down what this run started; see release.take_down.
function M:take_down(pointing, gently) return release.take_down(self.engine, self.release, self.touched, pointing, gently) end

-- Returns the running containers that the backends `urls` lead to, by URL.
function M:owners(urls)
  local by_url = {}
  for _, c in ipairs(#urls > 0 and self.engine:list{all = false} or {}) do
    for _, url in ipairs(urls) do
      if address.answers(c, url) then by_url[url] = c end
    end
  end
  return by_url
end

-- Reports whether the container `c` still runs, where `url` leads.
function M:still(c, url)
  local now = self.engine:find(c.id)
  return now ~= nil and now.state.running and address.answers(now, url)
end

-- Of the app's running containers that the release does not need, returns those that no
-- host points to any more; and, in words, those that one does. `pointing` comes from
-- frontend.all.
function M:idle(pointing)
  local idle, busy = {}, {}
  for _, c in ipairs(release.retired(self.engine, self.release, self.p.replicas).running) do
    local hosts = address.hosts(c, pointing)
    if hosts then
      busy[#busy + 1] = c.name .. " is left running: " .. hosts .. " points to it"
    else
      idle[#idle + 1] = c
    end
  end
  return idle, busy
end

-- Stops what is idle, eight at a time. Returns, in words, what was left running.
function M:stop_idle(store)
  local left, pointing = {}, frontend.all(store)
  local idle = self:idle(pointing)
  for first = 1, #idle, 8 do
    if first > 1 then pointing = frontend.all(store) end -- look again: the others took their time
    parallel.map({unpack(idle, first, math.min(first + 7, #idle))}, function(c)
      local hosts = address.hosts(c, pointing)
      if hosts then
        left[#left + 1] = c.name .. " is left running: " .. hosts .. " points to it"
      else
        release.retire(self.engine, c)
      end
    end)
  end
  return left
end

-- Returns what can be pruned; `served` comes from history.all.
function M:prunable(served) return prune.plan(self.engine, self.release, self.p, served) end

-- Removes what is old.
function M:prune(served) prune.run(self.engine, self:prunable(served)) end

return M

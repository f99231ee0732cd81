-- Replaces the containers of an app batch by batch, where there is no room for all
-- of the new ones beside all of the old.
--
-- With order=start-first each batch is started and healthy before as many old
-- containers lose their traffic and are stopped. With stop-first the old ones go
-- first: that needs no spare room, but at least two containers. If a batch fails,
-- the old containers are started again and get their traffic back, and the new
-- ones are taken down.
local address = require("lib.address")
local deployment = require("lib.deployment")
local frontend = require("lib.frontend")
local release = require("lib.release")
local split = require("lib.split")

local p = params(deployment.params{
  batch = {type = "integer", default = 1, min = 1, max = 100, doc = "how many containers to replace at a time"},
  order = {type = "enum", values = {"start-first", "stop-first"}, default = "start-first", doc = "what happens first in each batch"},
})
local d = deployment.open(p)
if d.settled then return d:start() end
local node = d.nodes[1]

-- The app's container at a backend, and whether it is one of the new release.
local function container(url)
  local c = d:owner(url)
  if c and c.labels["mepc.app"] == p.app then return c, release.is(c, node.release) end
end

local old = {}
for _, url in ipairs(d:serving(d.from)) do
  if not select(2, container(url)) then old[#old + 1] = url end
end
if p.order == "stop-first" and #old > 0 and #old <= p.batch then
  fail("stop-first would leave " .. d.route.name .. " without a backend", {
    kind = "invalid_argument", hint = "use order=start-first, or a batch smaller than the " .. #old .. " containers that serve"})
end

-- Stopped containers are started again when a later batch fails; their addresses
-- may have changed.
local stopped = {}
local function start_again()
  node:start_again(stopped)
  d:rehome()
  return #stopped .. " old containers were started again"
end

local function retire(urls)
  if #urls == 0 then return end
  d:switch(function(at) return split.without(d:serving(at), urls) end, "take " .. #urls .. " old off " .. d.route.name)
  d:undo("start the old containers again", start_again) -- before traffic goes back
  step("drain", function() log(d:drain(urls)) end)
  step("stop " .. #urls .. " old", function()
    local pointing = frontend.all(d.store)
    parallel.map(urls, function(url)
      local c = container(url)
      if not c then return log(url .. " is not one of " .. p.app .. "'s containers: it is left running") end
      local hosts = address.hosts(c, pointing)
      if hosts then return log(c.name .. " is left running: " .. hosts .. " points to it") end
      stopped[#stopped + 1] = node.engine:inspect(c.id)
      release.retire(node.engine, c)
    end, {limit = 8})
    d.route:revive()
  end)
end

local function start(replicas)
  if #replicas == 0 then return end
  step("start " .. #replicas .. " of " .. d:name(), function()
    local there = node:containers()
    parallel.map(replicas, function(i) node:bring_up(i, d.path, there) end, {limit = 8})
  end)
  local urls = {}
  for i, replica in ipairs(replicas) do urls[i] = node:url(replica) end
  d:switch(function(at) return split.with(d:serving(at), urls) end, "send traffic to " .. #replicas .. " of " .. d:name())
end

d:take_down_on_failure()
for _, batch in ipairs(split.batches(old, p.replicas, p.batch)) do
  if p.order == "start-first" then
    start(batch.start)
    retire(batch.retire)
  else
    retire(batch.retire)
    start(batch.start)
  end
end

d:start("look at " .. d:name()) -- all of them exist by now
d:switch()
d:confirm()
d:finish{} -- the old ones are drained and stopped

-- Replaces the containers of an app batch by batch, where there is no room for all
-- of the new ones beside all of the old.
--
-- With order=start-first each batch is started and healthy before as many old
-- containers lose their traffic and are stopped; with stop-first the old ones go
-- first, which needs no room at all, and two containers at least. When a batch
-- fails the old containers are started again, get their traffic back, and the new
-- ones are taken down.
local address = require("lib.address")
local deployment = require("lib.deployment")
local frontend = require("lib.frontend")
local release = require("lib.release")
local split = require("lib.split")
local traffic = require("lib.traffic")

local p = params(deployment.params{
  batch = {type = "integer", default = 1, min = 1, max = 100, doc = "how many containers to replace at a time"},
  order = {type = "enum", values = {"start-first", "stop-first"}, default = "start-first", doc = "what happens first in each batch"},
})
local d = deployment.open(p)
if d.settled then return d:start() end

-- The old backends, each once, with the containers of the app behind them.
local mine, old, box, weights = {}, {}, {}, {}
for _, c in ipairs(d.engine:list{all = false, labels = {["mepc.app"] = p.app}}) do
  for _, url in ipairs(d.from) do
    if address.answers(c, url) then
      box[url] = c
      mine[url] = c.labels["mepc.release"] == d.new.id
    end
  end
end
for _, url in ipairs(d.from) do
  if not weights[url] and not mine[url] and d.outside[url] ~= false then old[#old + 1] = url end
  weights[url] = (weights[url] or 0) + 1
end
local batches = split.batches(old, p.replicas, p.batch)
if p.order == "stop-first" and #old > 0 and #old <= p.batch then
  fail("stop-first would leave " .. p.host .. " without a backend", {
    kind = "invalid_argument", hint = "take order=start-first, or a batch smaller than the " .. #old .. " containers that serve"})
end

-- What is stopped is started again when a later batch fails; its address may be
-- another then.
local stopped = {}
local function start_again()
  local back = {}
  parallel.map(stopped, function(c)
    d.engine:update(c.name, {restart = c.restart})
    d.engine:start(c.name)
    d.engine:wait_healthy(c.name, d:probe())
  end, {limit = 8})
  for _, url in ipairs(d.from) do
    local c = box[url] and not mine[url] and d.engine:find(box[url].name)
    if c and c.state.running then back[#back + 1] = address.url(c, p.port, c.labels["mepc.advertise"] or "") end
    if not box[url] then back[#back + 1] = url end
  end
  if #back > 0 then d.back = back end
  return #stopped .. " old containers were started again"
end

local list = d:serving(d.from)
local function retire(batch)
  if #batch.retire == 0 then return end
  local left = split.without(list, batch.retire)
  d:switch(left, "take " .. #batch.retire .. " old off " .. p.host)
  list = left
  d.undo[3] = d.undo[3] or defer("start the old containers again", start_again) -- before traffic goes back
  step("drain", function() log(traffic.drain(p.admin, batch.retire, p.drain, p.drain_max)) end)
  step("stop " .. #batch.retire .. " old", function()
    parallel.map(batch.retire, function(url)
      local c = box[url]
      if not c then return log(url .. " is not one of " .. p.app .. "'s containers: it is left running") end
      stopped[#stopped + 1] = c
      release.retire(d.engine, c)
    end, {limit = 8})
    frontend.revive(d.store, p.host)
  end)
end

local function start(batch)
  if #batch.start == 0 then return end
  step("start " .. #batch.start .. " of " .. d.new.name, function()
    parallel.map(batch.start, function(i) d:bring_up(i) end, {limit = 8})
  end)
  local more = {}
  for _, i in ipairs(batch.start) do
    local url = d:urls{d.engine:inspect(d:name(i))}[1]
    if not frontend.lists(list, url) then more[#more + 1] = url end
  end
  if #more == 0 then return end
  for _, url in ipairs(list) do more[#more + 1] = url end
  d:switch(more, "send traffic to " .. #batch.start .. " of " .. d.new.name)
  list = more
end

d:take_down_on_failure()
for _, batch in ipairs(batches) do
  if p.order == "start-first" or #list == 0 then
    start(batch)
    retire(batch)
  else
    retire(batch)
    start(batch)
  end
end

d:start("look at " .. d.new.name) -- all of them are there
d:switch()
d:confirm()
d:finish{} -- the old ones are drained and stopped

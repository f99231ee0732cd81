-- Deploys an image to several engines, and moves the traffic of a host to all of
-- them at once.
--
-- Ship the image to the engines that lack it, start the new release on each and
-- wait until every container is healthy; then one switch of the routing list leads
-- to all of them, or to none: an engine that fails before that fails the
-- deployment, with all traffic on the old release. Confirm, drain, and stop the
-- old release everywhere. Whatever fails after the switch, traffic goes back in
-- one switch, too.
local address = require("lib.address")
local deployment = require("lib.deployment")
local frontend = require("lib.frontend")
local marks = require("lib.marks")
local old = require("lib.old")
local prune = require("lib.prune")
local release = require("lib.release")
local traffic = require("lib.traffic")

local declared = deployment.params{
  engines  = {type = "list", required = true, doc = "the engines and the addresses that routers reach them by: ssh://deploy@10.0.0.11=10.0.0.11"},
  limit    = {type = "integer", default = 8, min = 1, max = 100, doc = "on how many engines to work at a time"},
  compress = {type = "enum", values = {"auto", "none", "gzip", "zstd"}, default = "auto", doc = "whether what is shipped is compressed"},
}
declared.advertise = nil -- each engine has its own
local p = params(declared)
local source, store = docker.connect(), redis.connect()
local path = p.confirm ~= "" and p.confirm or p.health ~= "" and p.health or "/"

local hosts, taken = {}, {}
for i, text in ipairs(p.engines) do
  local url, advertise = text:match("^(.+)=([^=/]+)$")
  if not url or taken[url] then
    fail("engines: " .. text .. (url and " is there twice" or " is not URL=ADDRESS"), {
      kind = "invalid_argument", hint = "write ssh://deploy@10.0.0.11=10.0.0.11, with the address that routers reach it by"})
  end
  taken[url] = true
  hosts[i] = {url = url, advertise = advertise, engine = docker.connect(url), touched = {}}
end

-- each calls fn for all engines, several at a time, and says where it failed.
local function each(fn)
  local _, err = try(parallel.map, hosts, function(h)
    local result, failed = try(fn, h)
    if failed then
      log.error(h.url .. ": " .. failed.message)
      error(failed)
    end
    return result
  end, {limit = p.limit})
  if err then error(err) end
end

local mine = lock(p.app, {redis = store}) -- until the run's end, nobody else deploys the app
local image = source:image(p.image)
if not image then
  fail("the image " .. p.image .. " is not on the engine that it is to come from", {kind = "not_found", hint = "build, load or pull it there first"})
end
local before = frontend.read(store, p.host)
local from, id = before and before.urls or {}, p.identifier ~= "" and p.identifier or p.app
if before and before.id ~= id then
  fail(frontend.key(p.host) .. " belongs to \"" .. before.id .. "\", not to \"" .. id .. "\"", {
    kind = "conflict", hint = "is host= right? identifier=" .. before.id .. " takes its traffic over"})
end

each(function(h)
  h.new = release.of(h.engine, {
    app = p.app, reference = p.image, image = image, port = p.port, env = p.env, secrets = p.secrets, links = p.links,
    network = p.network, publish = p.publish, advertise = h.advertise, restart = p.restart,
  })
  h.there = release.running(h.engine, h.new, p.replicas)
  h.owners = old.owners(h.engine, from)
  h.done = h.there and #old.idle(h.engine, store, h.new, p.replicas) == 0
    and prune.plan(h.engine, h.new, p.replicas, p.keep, p.retain).count == 0
end)

local function urls()
  local list = {}
  for _, h in ipairs(hosts) do
    for _, c in ipairs(h.there or {}) do list[#list + 1] = address.url(c, p.port, h.advertise) end
  end
  return list
end

-- What runs at a backend that none of the engines has.
local outside = {}
for _, url in ipairs(from) do
  local owned = false
  for _, h in ipairs(hosts) do owned = owned or h.owners[url] ~= nil end
  if not owned then outside[url] = traffic.answers(url, p.host, path) end
end

local settled = frontend.same(from, urls()) and frontend.followed(store, p.host, from, p.dialect)
for _, h in ipairs(hosts) do settled = settled and h.done end
if settled then return end -- all is as wanted
traffic.ready(routers(), p.admin, p.host, path)

local switched, to = false, nil
local takedown = defer("take the new release down", function()
  local said = {}
  local pointing = frontend.all(store)
  for i, h in ipairs(hosts) do
    local text, err = try(release.take_down, h.engine, h.touched, pointing, switched)
    said[i] = h.url .. ": " .. (err and err.message or text)
  end
  return table.concat(said, "\n")
end)

step("ship " .. p.image, function()
  local engines = {}
  for i, h in ipairs(hosts) do engines[i] = h.engine end
  local shipped = docker.ship{image = p.image, from = source, to = engines, concurrency = math.min(p.limit, 64), compress = p.compress}
  log(shipped.bytes .. " bytes sent to " .. #engines .. " engines, " .. shipped.saved .. " saved")
end)

step("start on " .. #hosts .. " engines", function()
  each(function(h)
    step(h.url, function()
      h.new.spec.image = h.engine:image(p.image)
      for i = 1, p.replicas do
        local name = release.ensure(h.engine, h.new, i, h.touched)
        local probe = {interval = "200ms", successes = 2, deadline = p.wait}
        if p.health ~= "" then probe.http = {port = p.port, path = p.health, published = true} end
        h.engine:wait_healthy(name, probe)
        if p.expect ~= "" then
          h.engine:wait_healthy(name, {interval = "200ms", deadline = p.confirm_max, http = {
            port = p.port, path = path, contains = p.expect, host = p.host, published = true}})
        end
      end
      h.there = release.running(h.engine, h.new, p.replicas)
      if not h.there then fail("a container of " .. h.new.name .. " died", {kind = "unhealthy", hint = "docker logs " .. h.new.name}) end
    end)
  end)
end)
to = urls()

-- Raises when a container does not run, where the traffic was sent, any more.
local function alive()
  for _, h in ipairs(hosts) do
    local there = release.running(h.engine, h.new, p.replicas)
    for i = 1, p.replicas do
      if not there or address.url(there[i], p.port, h.advertise) ~= address.url(h.there[i], p.port, h.advertise) then
        fail(h.url .. ": a container of " .. h.new.name .. " died after the switch", {kind = "unhealthy", hint = "docker logs " .. h.new.name})
      end
    end
  end
end

-- Whether what ran at the backends of before still does.
local function old_runs()
  for _, h in ipairs(hosts) do
    for url, container in pairs(h.owners) do
      local c = h.engine:find(container)
      if not (c and c.state.running and address.answers(c, url)) then return false end
    end
  end
  for url, answered in pairs(outside) do
    if not answered or not traffic.answers(url, p.host, path) then return false end
  end
  return true
end

local changed = not frontend.equal(from, to) or not frontend.followed(store, p.host, from, p.dialect)
local back = changed and defer("send traffic back", function()
  local list = frontend.read(store, p.host)
  if switched and #from > 0 and list and frontend.equal(list.urls, to) and old_runs() then
    frontend.switch(store, p.host, id, to, from, nil, p.dialect)
    traffic.drain(p.admin, to, p.drain, math.min(p.drain_max, 30))
    list = frontend.read(store, p.host)
  end
  return p.host .. " points to " .. frontend.text(list and list.urls or {})
end)
if changed then
  step("switch " .. p.host, function()
    local _, err = try(frontend.switch, store, p.host, id, from, to, mine, p.dialect)
    switched = not err or err.kind ~= "conflict"
    if err then error(err) end
    log(p.host .. " points to " .. frontend.text(to))
  end)
else
  frontend.revive(store, p.host)
end
step("confirm", function()
  traffic.confirm(routers(), p.host, path, p.expect, 10, p.confirm_max, alive)
end)

local gone = {}
for _, url in ipairs(from) do
  if not frontend.lists(to, url) then gone[#gone + 1] = url end
end
if #gone > 0 then step("drain", function() log(traffic.drain(p.admin, gone, p.drain, p.drain_max)) end) end
takedown:cancel()
if back then back:cancel() end
defer("tidy up", function()
  return p.host .. " points to the new release; run this again to stop and remove what is left of older ones"
end)
frontend.tidy(store, p.host, p.dialect)
step("stop the old release", function()
  each(function(h)
    for _, line in ipairs(old.stop(h.engine, store, h.new, p.replicas)) do log(h.url .. ": " .. line) end
  end)
  frontend.revive(store, p.host)
end)
step("prune", function()
  each(function(h)
    marks.clear(store, h.new)
    prune.run(h.engine, prune.plan(h.engine, h.new, p.replicas, p.keep, p.retain))
  end)
end)

log(p.image .. " serves " .. p.host .. " on " .. #hosts .. " engines")
local width = 0
for _, h in ipairs(hosts) do width = math.max(width, #h.url) end
for _, h in ipairs(hosts) do
  local at = {}
  for n, c in ipairs(h.there) do at[n] = address.url(c, p.port, h.advertise) end
  log(("%-" .. width .. "s  %-7s  %s"):format(h.url, next(h.touched) and "started" or "ran", table.concat(at, " ")))
end

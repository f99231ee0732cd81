-- Repairs an app's routing lists after its engine was restarted: containers may
-- have come back with each other's addresses, or not at all.
--
-- What should have traffic is told by labels: the app's containers that run, and
-- whose restart policy no deployment took away. Lists that lead to all of them,
-- and to nothing else of this engine, are right. What a list has of other machines
-- stays as long as it answers. Nothing is started or stopped; which of two
-- releases is the right one is not guessed.
local address = require("lib.address")
local frontend = require("lib.frontend")
local traffic = require("lib.traffic")

on.engine()
local p = params{
  app     = {required = true, doc = "the application, by the label mepc.app of its containers"},
  host    = {default = "", doc = "the host whose list is repaired; empty: each whose identifier is the app's name"},
  path    = {default = "/", doc = "path that a backend is asked for; whatever it answers will do"},
  dialect = {type = "enum", values = {"hipache", "traefik"}, default = "hipache", doc = "what reads the routing, as of bluegreen"},
  confirm_max = {type = "duration", default = "15s", doc = "how long the routers may take to send to where the list leads"},
}
local engine, store = docker.connect(), redis.connect()
local mine = lock(p.app, {redis = store})

local serving, releases, running = {}, {}, {}
for _, c in ipairs(engine:list{all = false}) do
  running[#running + 1] = c
  local l = c.labels
  if l["mepc.app"] == p.app and (l["mepc.replica"] or "") ~= "" and (c.restart ~= "no" or l["mepc.restart"] == "no") then
    serving[#serving + 1] = c
    if not releases[l["mepc.release"]] then
      releases[l["mepc.release"]] = c.name
      releases[#releases + 1] = c.name
    end
  end
end
table.sort(serving, function(a, b) return a.name < b.name end)

local hosts, seen = {}, {}
for _, b in ipairs(frontend.all(store)) do
  local list = not seen[b.host] and frontend.read(store, b.host)
  seen[b.host] = true
  if list and (b.host == p.host:lower() or p.host == "" and list.id == p.app) then hosts[#hosts + 1] = b.host end
end
table.sort(hosts)
if #hosts == 0 then
  fail("no routing list of " .. (p.host ~= "" and p.host or p.app) .. " has a backend", {
    kind = "not_found", hint = "host= names it, if its identifier is another; a deployment makes one"})
end
if #serving == 0 then
  fail("no container of " .. p.app .. " runs that a deployment left in service", {
    kind = "not_found", hint = "deploy it again, or docker start it; docker ps -a --filter label=mepc.app=" .. p.app})
end

-- Whether a container of the engine, of whatever app, is at `url`.
local function owner(url)
  for _, c in ipairs(running) do
    if address.answers(c, url) then return c end
  end
end

for _, host in ipairs(hosts) do
  local list = frontend.read(store, host)
  local want = {}
  for i, c in ipairs(serving) do
    want[i] = address.url(c, tonumber(c.labels["mepc.port"]), c.labels["mepc.advertise"] or "")
  end
  for _, url in ipairs(list.urls) do
    if not owner(url) and not frontend.lists(want, url) and traffic.answers(url, host, p.path) then want[#want + 1] = url end
  end
  if frontend.same(list.urls, want) and frontend.followed(store, host, list.urls, p.dialect) then
    frontend.revive(store, host)
    log(host .. " is right: " .. frontend.text(list.urls))
  else
    if #releases > 1 then
      fail(host .. " points to " .. frontend.text(list.urls) .. ", and containers of " .. #releases .. " releases are in service: " .. table.concat(releases, ", "), {
        kind = "conflict", hint = "which is right is not known here: mepc-run history " .. p.app .. " tells what was deployed; deploy that"})
    end
    for _, url in ipairs(want) do
      if not traffic.answers(url, host, p.path) then
        fail("nothing answers at " .. url .. ", where " .. host .. " should point to", {
          kind = "unhealthy", hint = "the container runs: docker logs " .. (owner(url) or {name = ""}).name})
      end
    end
    step("repair " .. host, function()
      frontend.switch(store, host, list.id, list.urls, want, mine, p.dialect)
      log(host .. " points to " .. frontend.text(want) .. " and no more to " .. frontend.text(list.urls))
      traffic.confirm(routers(), host, p.path, "", 10, p.confirm_max, function() end)
      frontend.tidy(store, host, p.dialect)
    end)
  end
end

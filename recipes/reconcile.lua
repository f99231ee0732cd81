-- Repairs an app's routing lists after its engine was restarted: containers may
-- have come back with each other's addresses, or not at all.
--
-- Labels tell which containers should have traffic: those of the app that run and
-- still have the restart policy of a release in service. A list is right when it
-- leads to all of them and to nothing else on this engine. Backends on other
-- machines stay as long as they answer. Nothing is started or stopped. When two
-- releases are in service, the recipe does not guess: it fails.
local address = require("lib.address")
local frontend = require("lib.frontend")
local history = require("lib.history")
local names = require("lib.names")
local traffic = require("lib.traffic")

on.engine()
local p = params{
  app     = {required = true, doc = "the application, by the label mepc.app of its containers"},
  host    = {default = "", doc = "the host whose list to repair; empty: every host that the app served"},
  path    = {default = "/", doc = "path to request from a backend; any answer will do"},
  dialect = {type = "enum", values = {"hipache", "traefik"}, default = "hipache", doc = "what reads the routing, as with bluegreen"},
  confirm_max = {type = "duration", default = "15s", doc = "how long the routers may take to follow the list"},
}
local engine, store = docker.connect(), redis.connect()
names.app(p.app)
local asked = p.host ~= "" and names.host(p.host) or nil
local mine = lock(p.app, {redis = store})

local serving, releases, running = {}, {}, {}
for _, c in ipairs(engine:list{all = false}) do
  running[#running + 1] = c
  local l = c.labels
  local ours = l["mepc.app"] == p.app and (l["mepc.replica"] or "") ~= ""
  if ours and (l["mepc.restart"] == "no" or engine:inspect(c.id).restart ~= "no") then
    serving[#serving + 1] = c
    if not releases[l["mepc.release"]] then
      releases[l["mepc.release"]] = c.name
      releases[#releases + 1] = c.name
    end
  end
end
table.sort(serving, function(a, b) return a.name < b.name end)

-- The hosts of the app: those it has served or, without a history, those whose identifier
-- is the app's name.
local hosts, seen, served = {}, {}, history.all(store, p.app)
for _, b in ipairs(frontend.all(store)) do
  local candidate = names.as_host(b.host) and (asked == b.host or not asked and (next(served) == nil or served[b.host] ~= nil))
  local list = candidate and not seen[b.host] and frontend.read(store, b.host)
  seen[b.host] = true
  if list and (asked or list.id == p.app) then hosts[#hosts + 1] = b.host end
end
table.sort(hosts)
if #hosts == 0 then
  fail("no routing list of " .. (p.host ~= "" and p.host or p.app) .. " has a backend", {
    kind = "not_found", hint = "name the host with host= if its list has another identifier; a deployment makes a list"})
end
if #serving == 0 then
  fail("no container of " .. p.app .. " is running and in service", {
    kind = "not_found", hint = "deploy it again, or start it with docker start; to list its containers: docker ps -a --filter label=mepc.app=" .. p.app})
end

-- Returns the container at `url`, of any app, or nil.
local function owner(url)
  for _, c in ipairs(running) do
    if address.answers(c, url) then return c end
  end
end

for _, host in ipairs(hosts) do
  local list = frontend.read(store, host)
  local dialect = frontend.dialect(store, host, p.dialect)
  local want = {}
  for i, c in ipairs(serving) do
    want[i] = address.url(c, tonumber(c.labels["mepc.port"]), c.labels["mepc.advertise"] or "")
  end
  for _, url in ipairs(list.urls) do
    if not owner(url) and not frontend.lists(want, url) and traffic.answers(url, host, p.path) then want[#want + 1] = url end
  end
  if frontend.same(list.urls, want) and frontend.followed(store, host, list.urls, dialect) then
    frontend.revive(store, host)
    log(host .. " is right: " .. frontend.text(list.urls))
  else
    if #releases > 1 then
      fail(host .. " points to " .. frontend.text(list.urls) .. ", and containers of " .. #releases .. " releases are in service: " .. table.concat(releases, ", "), {
        kind = "conflict", hint = "see what was deployed with mepc-run history " .. p.app .. ", then deploy the right release again"})
    end
    for _, url in ipairs(want) do
      if not traffic.answers(url, host, p.path) then
        fail("nothing answers at " .. url .. ", where " .. host .. " should point to", {
          kind = "unhealthy", hint = "the container runs: docker logs " .. (owner(url) or {name = ""}).name})
      end
    end
    step("repair " .. host, function()
      frontend.switch(store, {{host = host, id = list.id, from = list.urls, to = want, dialect = dialect}}, mine)
      log(host .. " points to " .. frontend.text(want) .. " and no longer to " .. frontend.text(list.urls))
      traffic.confirm(routers(), host, {path = p.path}, p.confirm_max, function() end)
      frontend.tidy(store, host, dialect)
    end)
  end
end

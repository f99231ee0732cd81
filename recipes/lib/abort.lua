-- Undoes an interrupted run. mepc-run abort runs this, with what the run's journal
-- says it did.
--
-- Start what the run stopped; send traffic back to where it was, if it still goes
-- where the run sent it; then take down what the run started. Lists that someone
-- changed since are left alone. Whatever cannot be undone is reported.
local address = require("lib.address")
local frontend = require("lib.frontend")
local split = require("lib.split")
local traffic = require("lib.traffic")

local p = params{
  app       = {required = true, doc = "the app that it deployed"},
  run       = {required = true, doc = "the run"},
  did       = {required = true, doc = "what its journal says it did, as JSON"},
  health    = {default = "", doc = "path that answers with a status below 400 when a container is healthy"},
  confirm   = {default = "", doc = "path to request through the routers; empty: that of health"},
  wait      = {type = "duration", default = "60s", doc = "how long a container may take to become healthy again"},
  dialect   = {default = "hipache", doc = "what reads the routing, as in the run"},
  admin     = {type = "list", default = {}, doc = "admin URLs of mepc-run routers"},
  drain     = {type = "duration", default = "2s", doc = "how long to wait at least for requests in flight"},
  drain_max = {type = "duration", default = "60s", doc = "how long to wait at most"},
}
local did = json.decode(p.did)
local path = p.confirm ~= "" and p.confirm or p.health ~= "" and p.health or "/"

-- Servers by their names in the journal; "" is the run's own.
local engines, stores = {}, {}
local function engine(at)
  engines[at] = engines[at] or at == "" and docker.connect() or docker.connect(at)
  return engines[at]
end
local function store(at)
  stores[at] = stores[at] or at == "" and redis.connect() or redis.connect(at)
  return stores[at]
end

local mine = {} -- the lock in each Redis
for _, l in ipairs(did.locks) do
  local held = lock(l.app, {redis = not l.file and store(l.redis) or nil, target = l.target})
  if not l.file then mine[l.redis] = held end
end

local created = {} -- by one of the runs
for _, run in ipairs(did.runs) do created[run] = true end
local function is_new(c) return created[c.labels["mepc.run"] or ""] end

local stuck = {} -- what could not be undone
local function is_stuck(text)
  log.warn(text)
  stuck[#stuck + 1] = text
end

local function pointing()
  local all = {}
  for _, l in ipairs(did.lists) do store(l.redis) end
  for _, r in pairs(stores) do
    for _, backend in ipairs(frontend.all(r)) do all[#all + 1] = backend end
  end
  return all
end

-- Waits until a container that was started again is healthy, if there is a way to ask.
local function wait_healthy(e, c)
  local port = tonumber(c.labels["mepc.port"])
  if p.health ~= "" and port then
    local published = (c.labels["mepc.advertise"] or "") ~= ""
    e:wait_healthy(c.name, {deadline = p.wait, http = {port = port, path = p.health, published = published}})
  elseif c.state.health ~= "none" then
    e:wait_healthy(c.name, {deadline = p.wait})
  end
end

-- Makes a container run again. A stop that may still be under way is waited for first.
local function bring_back(was)
  local e = engine(was.engine)
  local c = e:find(was.id)
  if not c then return is_stuck(was.name .. " was running, and is gone") end
  if c.restart ~= was.restart then e:update(c.name, {restart = was.restart}) end
  if c.state.status == "paused" and not was.paused then e:unpause(c.name) end
  if was.ending and c.state.running and not address.hosts(c, pointing()) then
    e:stop(c.name)
    c = e:inspect(c.name)
  end
  if c.state.running then return end
  e:start(c.name)
  wait_healthy(e, e:inspect(c.name))
end

-- Returns the current address of what answered at `url`: a container that was stopped
-- may have another one.
local function moved(url)
  local scheme, host, port, rest = url:match("^(%a+://)([^/:]+):?(%d*)(.*)$")
  for _, was in ipairs(did.containers) do
    local c = was.running and engine(was.engine):find(was.id)
    for network, ip in pairs(c and was.networks or {}) do
      local there = c.networks[network]
      if ip == host and there and there.ip ~= "" then return scheme .. there.ip .. (port ~= "" and ":" .. port or "") .. rest end
    end
    for inner, outer in pairs(c and was.ports or {}) do
      for _, published in ipairs(c.ports) do
        local ours = host == c.labels["mepc.advertise"] or host == published.host_ip
        if ours and tostring(outer) == port and published.container == tonumber(inner) then
          return scheme .. host .. ":" .. published.host .. rest
        end
      end
    end
  end
  return url
end

local function answers(url, host)
  local stop = now() + p.wait
  while not traffic.answers(url, host, path) do
    if now() >= stop then return false end
    sleep("200ms")
  end
  return true
end

-- Reports whether the runs made the list, or found it so.
local function is_ours(l, urls)
  if #urls == 0 or frontend.equal(urls, {unpack(l.items, 2)}) then return true end
  for _, items in ipairs(l.left) do
    if frontend.equal(urls, {unpack(items, 2)}) then return true end
  end
  return false
end

local function send_back(l)
  local r = store(l.redis)
  local list = frontend.read(r, l.host)
  local urls, back = list and list.urls or {}, {}
  for i = 2, #l.items do back[i - 1] = moved(l.items[i]) end
  if frontend.equal(urls, back) then return frontend.revive(r, l.host) end
  if not is_ours(l, urls) then
    return is_stuck(l.host .. " was pointed to " .. frontend.text(urls) .. " by someone else since: it is left unchanged")
  elseif #back == 0 then
    return is_stuck(l.host .. " pointed to nothing before: it keeps " .. frontend.text(urls))
  end
  for _, url in ipairs(back) do
    if not answers(url, l.host) then
      return is_stuck(l.host .. " is left with " .. frontend.text(urls) .. ": nothing answers at " .. url .. ", where it pointed before")
    end
  end
  frontend.switch(r, {{host = l.host, id = list and list.id or l.items[1], from = urls, to = back, dialect = frontend.dialect(r, l.host, p.dialect)}}, mine[l.redis])
  log(l.host .. " points to " .. frontend.text(back))
  if p.health ~= "" or p.confirm ~= "" then traffic.confirm(routers(), l.host, {path = path}, 15, function() end) end
  log(traffic.drain(p.admin, split.without(urls, back), {l.host}, p.drain, p.drain_max))
end

-- Stops what did not run before, and removes what did not exist. A container that ended
-- by itself, such as a migration, stays: its work is done.
local function take_down(e, c, was)
  local hosts = address.hosts(c, pointing())
  if hosts then return is_stuck(c.name .. " is left running: " .. hosts .. " points to it") end
  if was then
    if c.restart ~= was.restart then e:update(c.name, {restart = was.restart}) end
    if c.state.running then e:stop(c.name) end
  elseif c.state.status == "exited" and c.state.exit_code == 0 and not c.labels["mepc.replica"] then
    log(c.name .. " succeeded, and its work stays: the container is kept, so that it does not run again")
  else
    if c.state.running then e:stop(c.name) end
    e:remove(c.name, {force = true, missing_ok = true})
  end
end

log("undoing run " .. p.run .. " of " .. p.app)
step("bring back what was stopped", function()
  for i = #did.containers, 1, -1 do
    local was = did.containers[i]
    if was.running then bring_back(was) end
  end
end)
step("send traffic back", function()
  for _, l in ipairs(did.lists) do send_back(l) end
end)
step("take down what was started", function()
  for _, at in ipairs(did.engines) do
    local e = engine(at)
    for _, run in ipairs(did.runs) do
      for _, c in ipairs(e:list{labels = {["mepc.run"] = run}, inspect = true}) do take_down(e, c) end
    end
  end
  for _, was in ipairs(did.containers) do
    local e = engine(was.engine)
    local c = not was.running and e:find(was.id)
    if c and not is_new(c) then take_down(e, c, was) end
  end
  for _, was in ipairs(did.containers) do
    local e = engine(was.engine)
    local c = e:find(was.id)
    if c and c.name ~= was.name then e:rename(c.name, was.name) end
  end
  for _, l in ipairs(did.lists) do frontend.revive(store(l.redis), l.host) end
end)
for _, text in ipairs(did.stays) do log.warn("not undone: " .. text) end
if #stuck > 0 then
  fail("run " .. p.run .. " could not be undone: " .. table.concat(stuck, "; "), {
    kind = "conflict", hint = "to go on with it instead: mepc-run resume " .. p.run})
end

-- Takes back what a run did that was cut off. mepc-run abort runs this, with what
-- the run's journal says of it.
--
-- What the run stopped is started again; then traffic goes back to where it was, if
-- it still goes where the run sent it; then what the run started is taken down. Who
-- points elsewhere by now is left alone. What cannot be taken back is said.
local address = require("lib.address")
local frontend = require("lib.frontend")
local split = require("lib.split")
local traffic = require("lib.traffic")

local p = params{
  app       = {required = true, doc = "whose run it was"},
  run       = {required = true, doc = "the run"},
  did       = {required = true, doc = "what it did, by its journal, as JSON"},
  health    = {default = "", doc = "path that answers below 400 when a container is healthy"},
  confirm   = {default = "", doc = "path asked through the routers, in place of that of health"},
  wait      = {type = "duration", default = "60s", doc = "how long a container may take to become healthy again"},
  dialect   = {default = "hipache", doc = "what reads the routing, as of the run"},
  admin     = {type = "list", default = {}, doc = "admin URLs of mepc-run routers"},
  drain     = {type = "duration", default = "2s", doc = "how long to wait at least for requests that are under way"},
  drain_max = {type = "duration", default = "60s", doc = "how long to wait at most"},
}
local did = json.decode(p.did)
local path = p.confirm ~= "" and p.confirm or p.health ~= "" and p.health or "/"

-- Servers by the names that the journal has for them; "" is the run's own.
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

local stuck = {} -- what is not as it was
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

-- Waits until a container that was started again is healthy, as far as it is known
-- how to ask.
local function wait_healthy(e, c)
  local port = tonumber(c.labels["mepc.port"])
  if p.health ~= "" and port then
    local published = (c.labels["mepc.advertise"] or "") ~= ""
    e:wait_healthy(c.name, {deadline = p.wait, http = {port = port, path = p.health, published = published}})
  elseif c.state.health ~= "none" then
    e:wait_healthy(c.name, {deadline = p.wait})
  end
end

-- Makes a container run again that ran. A stop of which nobody knows whether it is
-- over is waited for first.
local function bring_back(was)
  local e = engine(was.engine)
  local c = e:find(was.id)
  if not c then return is_stuck(was.name .. " ran, and is gone") end
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

-- Where what answered at `url` answers now: a container that was stopped may have
-- another address.
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

-- Whether a list is one that the runs made, or found.
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
    return is_stuck(l.host .. " was pointed to " .. frontend.text(urls) .. " by someone else since: it is left as it is")
  elseif #back == 0 then
    return is_stuck(l.host .. " pointed to nothing before: there is nothing to go back to, and it keeps " .. frontend.text(urls))
  end
  for _, url in ipairs(back) do
    if not answers(url, l.host) then
      return is_stuck(l.host .. " is left with " .. frontend.text(urls) .. ": where it pointed before, " .. url .. ", nothing answers")
    end
  end
  frontend.switch(r, l.host, list and list.id or l.items[1], urls, back, mine[l.redis], p.dialect)
  log(l.host .. " points to " .. frontend.text(back))
  if p.health ~= "" or p.confirm ~= "" then traffic.confirm(routers(), l.host, path, "", 10, 15, function() end) end
  log(traffic.drain(p.admin, split.without(urls, back), p.drain, p.drain_max))
end

-- Stops what did not run before, and removes what was not there. What ended by
-- itself, such as a migration, has done its work, which stays.
local function take_down(e, c, was)
  local hosts = address.hosts(c, pointing())
  if hosts then return is_stuck(c.name .. " is left running: " .. hosts .. " points to it") end
  if was then
    if c.restart ~= was.restart then e:update(c.name, {restart = was.restart}) end
    if c.state.running then e:stop(c.name) end
  elseif c.state.status == "exited" and c.state.exit_code == 0 and not c.labels["mepc.replica"] then
    log(c.name .. " ended well, and what it did stays: it is left, so that nobody does it again")
  else
    if c.state.running then e:stop(c.name) end
    e:remove(c.name, {force = true, missing_ok = true})
  end
end

log("taking back what run " .. p.run .. " did to " .. p.app)
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
      for _, c in ipairs(e:list{labels = {["mepc.run"] = run}}) do take_down(e, c) end
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
for _, text in ipairs(did.stays) do log.warn("not taken back: " .. text) end
if #stuck > 0 then
  fail("run " .. p.run .. " could not be taken back: " .. table.concat(stuck, "; "), {
    kind = "conflict", hint = "mepc-run resume " .. p.run .. " goes on with it instead"})
end

-- A release is one image with one configuration. Its containers are named after
-- it and carry labels, so that any later run finds them, whoever started them:
--   mepc.app        the application
--   mepc.release    the release: a digest of the image's content and the configuration,
--                   the same on every engine
--   mepc.version    the requested tag
--   mepc.image      the image as requested, with its repository
--   mepc.port       the port that it listens on
--   mepc.restart    its restart policy while it serves
--   mepc.replica    1, 2, ...
--   mepc.advertise  the address that its published ports are routed to, if any
-- The same image and configuration always give the same names: running the recipe
-- again continues an interrupted run.
local address = require("lib.address")
local options = require("lib.options")
local M = {}

-- A link leads to one container for good, not to a later one of the same name: if that
-- container changes, so does the release. Returns the links with what they lead to.
local function linked(engine, links, network)
  local to = {}
  for i, link in ipairs(links or {}) do
    local name = link:match("^[^:]+")
    local c = engine:find(name)
    if not c then
      fail("the container " .. name .. " to link to does not exist", {
        kind = "not_found", hint = "start it first, or correct links=" .. table.concat(links, ",")})
    end
    to[i] = link .. (network == nil and "@" .. c.id or "")
  end
  return to
end

-- Returns the release of `spec`: {app, reference, image (from docker.image), port,
-- advertise, options (of docker.create, from options.of), among (whether other engines
-- have the release, too: it is the same one wherever it is reached)}.
function M.of(engine, spec)
  local digested = options.digest(spec.options, spec.app)
  digested.links = linked(engine, spec.options.links, spec.options.network)
  local id = sha256(json.encode{image = spec.image.content, port = spec.port, advertise = spec.among and "" or spec.advertise, options = digested}):sub(1, 8)
  local version = spec.reference:match("@") and spec.reference:match("(%x+)$"):sub(1, 12)
    or spec.reference:match(":([%w_.-]+)$") or "latest"
  return {id = id, version = version, app = spec.app, spec = spec, restart = spec.options.restart, name = spec.app .. "-" .. version .. "-" .. id}
end

function M.container_name(release, replica)
  return replica == 1 and release.name or release.name .. "-" .. replica
end

local function labels(release, own)
  local all = {}
  for name, value in pairs(own) do all[name] = value end
  all["mepc.app"], all["mepc.release"], all["mepc.version"] = release.app, release.id, release.version
  all["mepc.image"], all["mepc.port"], all["mepc.advertise"] = release.spec.reference, tostring(release.spec.port), release.spec.advertise
  all["mepc.restart"] = release.restart
  return all
end

local function create_with(engine, name, release, own, replica)
  local o = {}
  for option, value in pairs(own) do o[option] = value end
  o.name, o.image, o.labels = name, release.spec.image.id, labels(release, own.labels)
  if replica then o.labels["mepc.replica"] = tostring(replica) end
  engine:create(o)
end

local function create(engine, name, release, replica) create_with(engine, name, release, release.spec.options, replica) end

-- Creates a container with the release's image and options that runs `cmd` once. It is not
-- a replica: no label mepc.replica, no port.
function M.create_job(engine, name, release, cmd) create_with(engine, name, release, options.of_job(release.spec.options, cmd)) end

-- The labels of every replica of any release: a container that lacks one is not ours.
local function ours(app) return {["mepc.app"] = app, ["mepc.release"] = "", ["mepc.replica"] = ""} end

-- Returns the releases of `app` that have containers on the engine, according to their
-- labels: a list of releases as from M.of, with `containers` by replica, `replicas`, and
-- `ended` (when the last of them stopped; nil while one runs). The last to end comes first.
function M.all(engine, app)
  local by_id, list = {}, {}
  for _, c in ipairs(engine:list{labels = ours(app), inspect = true}) do
    local l = c.labels
    local r = by_id[l["mepc.release"]]
    if not r then
      r = {
        id = l["mepc.release"], version = l["mepc.version"] or "", app = app, containers = {}, replicas = 0, ended = 0,
        spec = {reference = l["mepc.image"] or "", image = {id = c.image_id}, port = tonumber(l["mepc.port"]), advertise = l["mepc.advertise"] or ""},
      }
      r.name = app .. "-" .. r.version .. "-" .. r.id
      by_id[r.id], list[#list + 1] = r, r
    end
    local replica = tonumber(l["mepc.replica"])
    r.containers[replica], r.replicas = c, math.max(r.replicas, replica)
    if c.state.running then r.ended = nil elseif r.ended then r.ended = math.max(r.ended, c.state.finished_at or 0) end
  end
  table.sort(list, function(a, b)
    local x, y = a.ended or math.huge, b.ended or math.huge
    if x ~= y then return x > y end
    return a.name < b.name
  end)
  return list
end

-- Returns those of `releases` that one of the backends `urls` leads to.
function M.serving(releases, urls)
  local list = {}
  for _, r in ipairs(releases) do
    local serves = false
    for _, c in pairs(r.containers) do
      for _, url in ipairs(urls) do serves = serves or c.state.running and address.answers(c, url) end
    end
    if serves then list[#list + 1] = r end
  end
  return list
end

-- Reports whether a container belongs to the release.
function M.is(container, release)
  return container.labels["mepc.app"] == release.app and container.labels["mepc.release"] == release.id
end

-- Chooses between two containers that are the same replica: one that runs, else the newer.
local function better(a, b)
  if not b or a.state.running ~= b.state.running then return not b or a.state.running end
  return a.created > b.created
end

-- Returns the containers of the release by replica, under any name: the same image under
-- another tag is the same release.
local function replicas_of(containers, release)
  local by_replica = {}
  for _, c in ipairs(containers) do
    local n = tonumber(c.labels["mepc.replica"])
    if n and M.is(c, release) and better(c, by_replica[n]) then by_replica[n] = c end
  end
  return by_replica
end

-- Returns the app's containers that `release` with that many replicas does not need:
-- {running={...}, stopped={...}}.
function M.retired(engine, release, replicas)
  local all, out = engine:list{labels = ours(release.app)}, {running = {}, stopped = {}}
  local used = {}
  for n, c in pairs(replicas_of(all, release)) do used[c.id] = n <= replicas end
  for _, c in ipairs(all) do
    if not used[c.id] then
      local list = c.state.running and out.running or out.stopped
      list[#list + 1] = c
    end
  end
  return out
end

-- Creates the container. Returns false when another run that deploys the same release was
-- first: its container will do. One that is not ours is a conflict.
local function created(engine, name, release, replica)
  local _, err = try(create, engine, name, release, replica)
  if err and err.kind ~= "conflict" then error(err) end
  for _ = 1, err and 50 or 0 do -- a name is taken before its container is visible
    local other = engine:find(name)
    if other and M.is(other, release) then return false end
    if other then
      fail("a container named " .. name .. " exists and does not belong to this release", {
        kind = "conflict", hint = "docker rename " .. name .. " " .. name .. "-other, or docker rm it, then run again"})
    end
    sleep("100ms")
  end
  if err then error(err) end
  return true
end

-- Returns the name of a network of the container that is gone or was created again: the
-- container would not start any more.
local function stale(engine, c)
  for name, place in pairs(c.networks) do
    local now = place.network ~= "" and try(engine.network, engine, name)
    if place.network ~= "" and (not now or now.id ~= place.network) then return name end
  end
end

-- Removes an existing container that cannot be used. Raises not_found if it cannot be
-- created again.
local function discard(engine, release, c, why)
  if not release.spec.image.created then -- known by its labels only
    fail(c.name .. " " .. why, {kind = "not_found", hint = "deploy its image again with bluegreen: that creates it again"})
  end
  log(c.name .. " " .. why .. ": creating it again")
  engine:remove(c.name, {force = true, missing_ok = true})
end

-- Returns the replica's container among `there`, or nil.
local function existing(engine, release, there, replica)
  local found = there[replica] and engine:find(there[replica].id)
  if found and (found.labels["mepc.advertise"] or "") ~= release.spec.advertise then
    fail(found.name .. " is reached at " .. found.labels["mepc.advertise"] .. ", not at " .. release.spec.advertise, {
      kind = "conflict", hint = "deploy with the old address, or change more of the release than its address"})
  end
  if found and found.state.status == "paused" then
    fail(found.name .. " is paused", {kind = "conflict", hint = "docker unpause " .. found.name .. ", or remove it with docker rm -f; then run again"})
  end
  return found
end

-- Makes sure that the release's container number `replica` exists and runs, and returns its
-- name. `there` comes from M.containers. Each action is noted in `touched` before it is
-- done: touched[name] is "created" or "started". See M.take_down.
function M.ensure(engine, release, replica, touched, there)
  local name = M.container_name(release, replica)
  local found = existing(engine, release, there, replica)
  if found and found.state.running then
    if found.restart ~= M.policy(found, release) then engine:update(found.name, {restart = M.policy(found, release)}) end
    return found.name
  end
  local gone = found and found.state.status == "exited" and stale(engine, found)
  if gone then
    touched[found.name] = "created"
    discard(engine, release, found, "was in the network " .. gone .. ", which is gone or was created again")
    found = nil
  elseif found and found.state.status ~= "exited" and found.state.status ~= "created" then
    touched[found.name] = "created"
    discard(engine, release, found, "is " .. found.state.status)
    found = nil
  elseif not found and not release.spec.image.created then
    fail(name .. " is gone", {kind = "not_found", hint = "deploy its image again"})
  end
  name = found and found.name or name
  touched[name] = found and found.state.status == "exited" and "started" or "created"
  if found and found.restart ~= M.policy(found, release) then engine:update(name, {restart = M.policy(found, release)}) end
  if not found and not created(engine, name, release, replica) then touched[name] = nil end
  engine:start(name)
  return name
end

-- Returns the restart policy of a container while it serves: M.retire takes it away.
function M.policy(c, release) return c.labels["mepc.restart"] or release.restart or c.restart end

-- Stops a container for good: with the restart policy always, an engine that restarts
-- would start it again.
function M.retire(engine, c)
  local policy = c.labels["mepc.restart"] or engine:inspect(c.id).restart
  if policy ~= "no" then engine:update(c.name, {restart = "no"}) end
  engine:stop(c.name)
end

-- Undoes what M.ensure noted in `touched`: what it created is removed, what it started is
-- stopped. What a host points to is left alone. So is everything when the run has lost its
-- lock: another run may serve from it. `pointing` comes from frontend.all; with `gently`,
-- requests in flight may end first. Returns what was done, in words.
function M.take_down(engine, release, touched, pointing, gently)
  local names = {}
  for name in pairs(touched) do names[#names + 1] = name end
  table.sort(names)
  local done = parallel.map(names, function(name)
    local c = engine:find(name)
    local hosts = c and address.hosts(c, pointing)
    if not c then
      return name .. " does not exist"
    elseif not M.is(c, release) then
      return name .. " belongs to someone else"
    elseif hosts then
      return name .. " is left running: " .. hosts .. " points to it"
    end
    local said, err = try(function()
      if touched[name] == "started" then
        engine:stop(name) -- refused if the lock is lost: then the policy stays, too
        engine:update(name, {restart = "no"})
        return name .. " was stopped again"
      end
      if gently then engine:stop(name) end
      engine:remove(name, {force = true, missing_ok = true})
      return name .. " was removed"
    end)
    if err and err.kind == "conflict" then return name .. " is left running: " .. err.message end
    if err then error(err) end
    return said
  end, {limit = 8})
  return #done == 0 and "nothing new was started" or table.concat(done, "\n")
end

-- Returns the release's containers by replica, as they are on the engine.
function M.containers(engine, release)
  local wanted = ours(release.app)
  wanted["mepc.release"] = release.id
  return replicas_of(engine:list{labels = wanted}, release)
end

-- Returns the release's containers 1 to `replicas`, or nil when one of them does not run.
function M.running(engine, release, replicas)
  local by_replica, all = M.containers(engine, release), {}
  for i = 1, replicas do
    local c = by_replica[i]
    if not c or c.state.status ~= "running" or (c.labels["mepc.advertise"] or "") ~= release.spec.advertise then return nil end
    all[i] = c
  end
  return all
end

return M

-- A release is one image with one configuration. Its containers are named after
-- it and carry labels, so that any later run finds them, whoever started them:
--   mepc.app        the application
--   mepc.release    the release: a digest of image and configuration
--   mepc.version    the tag that was asked for
--   mepc.image      the image as it was asked for, with its repository
--   mepc.port       the port that it listens on
--   mepc.restart    its restart policy while it serves
--   mepc.replica    1, 2, ...
--   mepc.advertise  the address that its published ports are routed to, if any
-- The same image and configuration always give the same names: a run that was
-- cut off is continued by running it again.
local address = require("lib.address")
local M = {}

-- The release of `spec`: {app, reference, image (as docker.image returns it), port,
-- env and secrets (lists of NAME=value), links, network, publish, advertise, restart}.
function M.of(engine, spec)
  local linked = {}
  for i, link in ipairs(spec.links) do
    local name = link:match("^[^:]+")
    local c = engine:find(name)
    if not c then
      fail("the container " .. name .. " to link to is not there", {
        kind = "not_found", hint = "start it first, or correct links=" .. table.concat(spec.links, ",")})
    end
    -- A link leads to one container for good, not to the next of that name:
    -- another one there means another release here.
    linked[i] = link .. (spec.network == "" and "@" .. c.id or "")
  end
  local id = sha256(json.encode{
    image = spec.image.id, port = spec.port, env = spec.env, secrets = spec.secrets, links = linked, network = spec.network,
    publish = spec.advertise ~= "" and spec.publish or "", advertise = spec.advertise, restart = spec.restart,
  }):sub(1, 8)
  local version = spec.reference:match("@") and spec.image.id:match("(%x+)$"):sub(1, 12)
    or spec.reference:match(":([%w_.-]+)$") or "latest"
  return {id = id, version = version, app = spec.app, spec = spec, name = spec.app .. "-" .. version .. "-" .. id}
end

function M.container_name(release, replica)
  return replica == 1 and release.name or release.name .. "-" .. replica
end

local function environment(spec)
  local env = {}
  for _, pair in ipairs(spec.env) do
    local name, value = pair:match("^([^=]+)=(.*)$")
    if not name then fail("env: " .. pair .. " is not NAME=value", {kind = "invalid_argument"}) end
    env[name] = value
  end
  for _, pair in ipairs(spec.secrets) do
    local name, declared = pair:match("^([^=]+)=(.+)$")
    if not name then fail("secrets: " .. pair .. " is not NAME=secret", {kind = "invalid_argument"}) end
    env[name] = secret(declared)
  end
  return env
end

local function labels(release)
  return {
    ["mepc.app"] = release.app, ["mepc.release"] = release.id, ["mepc.version"] = release.version,
    ["mepc.image"] = release.spec.reference, ["mepc.port"] = tostring(release.spec.port), ["mepc.advertise"] = release.spec.advertise,
    ["mepc.restart"] = release.spec.restart,
  }
end

local function create(engine, name, release, replica)
  local spec, marked = release.spec, labels(release)
  marked["mepc.replica"] = tostring(replica)
  engine:create{
    name = name, image = spec.image.id, env = environment(spec), links = spec.links, restart = spec.restart,
    network = spec.network ~= "" and spec.network or nil, expose = {tostring(spec.port)},
    ports = spec.advertise ~= "" and {spec.publish .. "::" .. spec.port} or {}, labels = marked,
  }
end

-- Creates a container with the release's image, environment, links and network
-- that runs `cmd` once. It is no replica: no label mepc.replica, no port.
function M.create_job(engine, name, release, cmd)
  local spec = release.spec
  engine:create{
    name = name, image = spec.image.id, cmd = cmd, env = environment(spec), links = spec.links,
    network = spec.network ~= "" and spec.network or nil, labels = labels(release),
  }
end

-- The releases of `app` whose containers are on the engine, by their labels: a
-- list of releases as M.of returns them, with `containers` by replica, `replicas`,
-- `ended` (when the last of them stopped; nil while one runs), newest end first.
function M.all(engine, app)
  local by_id, list = {}, {}
  for _, c in ipairs(engine:list{labels = {["mepc.app"] = app, ["mepc.replica"] = ""}}) do
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

-- Of `releases`, those that one of the backends `urls` leads to.
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

-- Whether a container is one of the release's.
function M.is(container, release)
  return container.labels["mepc.app"] == release.app and container.labels["mepc.release"] == release.id
end

-- Creates the container. Returns false when another run that deploys the same
-- was first: its container serves us as well.
local function created(engine, name, release, replica)
  local _, err = try(create, engine, name, release, replica)
  if err and err.kind ~= "conflict" then error(err) end
  for _ = 1, err and 50 or 0 do -- a name is taken before there is a container to be seen
    local other = engine:find(name)
    if other and M.is(other, release) then return false end
    if other then break end
    sleep("100ms")
  end
  if err then error(err) end
  return true
end

-- Makes sure that the release's container number `replica` exists and runs, and
-- returns its name. What this does is noted in `touched` before it is done:
-- touched[name] is "created" or "started". See M.take_down.
function M.ensure(engine, release, replica, touched)
  local name = M.container_name(release, replica)
  local found = engine:find(name)
  if found and not M.is(found, release) then
    fail("a container named " .. name .. " is there and is not ours", {
      kind = "conflict", hint = "docker rename " .. name .. " " .. name .. "-other, or docker rm it, then run again"})
  elseif found and found.state.status == "paused" then
    fail(name .. " is paused", {kind = "conflict", hint = "docker unpause " .. name .. ", or docker rm -f it, then run again"})
  end
  local policy = found and (found.labels["mepc.restart"] or release.spec.restart)
  if policy and found.restart ~= policy then engine:update(name, {restart = policy}) end -- M.retire took it
  if found and found.state.running then return name end
  touched[name] = found and found.state.status == "exited" and "started" or "created"
  if found and found.state.status ~= "exited" and found.state.status ~= "created" then
    engine:remove(name, {force = true, missing_ok = true}) -- dead, or half removed
    found = nil
  end
  if not found and not release.spec.image.created then
    fail(name .. " is gone", {kind = "not_found", hint = "deploy its image again"}) -- known by its labels only: it cannot be made anew
  end
  if not found and not created(engine, name, release, replica) then touched[name] = nil end
  engine:start(name)
  return name
end

-- Stops a container for good: with the restart policy always an engine that is
-- restarted would start it again.
function M.retire(engine, c)
  if c.restart ~= "no" then engine:update(c.name, {restart = "no"}) end
  engine:stop(c.name)
end

-- Takes back what M.ensure noted in `touched`: what it created is removed, what
-- it started is stopped. What a host points to is left alone. `pointing` is what
-- frontend.all returns; with `gently` requests in flight may end. Returns what was
-- done, in words.
function M.take_down(engine, touched, pointing, gently)
  local names = {}
  for name in pairs(touched) do names[#names + 1] = name end
  table.sort(names)
  local done = parallel.map(names, function(name)
    local c = engine:find(name)
    local hosts = c and address.hosts(c, pointing)
    if not c then
      return name .. " is not there"
    elseif hosts then
      return name .. " is left running: " .. hosts .. " points to it"
    elseif touched[name] == "started" then
      M.retire(engine, c)
      return name .. " was stopped again"
    end
    if gently then engine:stop(name) end
    engine:remove(name, {force = true, missing_ok = true})
    return name .. " was removed"
  end, {limit = 8})
  return #done == 0 and "nothing new was started" or table.concat(done, "\n")
end

-- The release's containers 1 to `replicas`, or nil when one of them does not run.
function M.running(engine, release, replicas)
  local all = {}
  for i = 1, replicas do
    local c = engine:find(M.container_name(release, i))
    if not c or not M.is(c, release) or c.state.status ~= "running" then return nil end
    all[i] = c
  end
  return all
end

return M

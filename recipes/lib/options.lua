-- The options of docker.create for the app's containers, made from the recipe's own table
-- and the parameters of a deployment. The release's digest covers all of them.
local M = {}

-- The parameters that become options.
M.params = {
  links    = {type = "list", default = {}, doc = "containers to link to, such as db:db"},
  network  = {default = "", doc = "the network to attach to; empty: the engine's default"},
  networks = {type = "list", default = {}, doc = "further networks to attach to"},
  env      = {type = "map", default = {}, doc = "environment, such as MODE=prod; give it once for each variable"},
  env_file = {type = "list", default = {}, doc = "environment files beside the recipe, as docker compose reads them; env overrides them, and later files override earlier ones"},
  secrets  = {type = "list", default = {}, doc = "environment from secrets, such as DB_PASSWORD=db_password"},
  volumes  = {type = "list", default = {}, doc = "what to mount, such as data:/data or /srv/conf:/conf:ro"},
  memory   = {type = "size", doc = "the most memory a container may use, such as 512MB"},
  cpus     = {type = "number", min = 0, doc = "how many CPUs it may use, such as 1.5"},
  command  = {type = "list", default = {}, doc = "the command, in place of the image's; repeat it for arguments with commas"},
  user     = {default = "", doc = "the user and group to run as, such as 1000:1000; empty: the image's"},
  stop_timeout = {type = "duration", doc = "how long a stop waits before it kills; default: the image's, else 10s"},
  restart  = {type = "enum", values = {"no", "always", "unless-stopped", "on-failure"}, default = "always", doc = "restart policy"},
}

-- The parameters that become options unchanged, if they are given.
local plain = {"links", "volumes", "memory", "cpus", "user", "stop_timeout", "network"}

local function given(v) return v ~= nil and v ~= "" and not (type(v) == "table" and next(v) == nil) end

local function copy(t)
  local c = {}
  for k, v in pairs(t or {}) do c[k] = v end
  return c
end

-- Returns the environment: from the recipe, then the files, then the parameter.
local function environment(own, p)
  local env = copy(own)
  for _, file in ipairs(p.env_file or {}) do
    local read, err = try(function() return dotenv(fs.read(file)) end)
    if err then fail("env_file: " .. file .. ": " .. err.message, {kind = "invalid_argument", hint = err.hint}) end
    for name, value in pairs(read) do env[name] = value end
  end
  for name, value in pairs(p.env or {}) do env[name] = value end
  return env
end

-- Returns the parameter's secrets by variable: the names that the operator declared.
local function secrets(p)
  local by_name = {}
  for i, pair in ipairs(p.secrets or {}) do
    local name, declared = pair:match("^([^=]+)=(.+)$")
    if not name then fail("secrets: item " .. i .. " is not NAME=secret", {kind = "invalid_argument"}) end
    by_name[name] = declared
  end
  return by_name
end

-- Returns the options for a container that is routed to at `advertise`, or at its own
-- address if that is empty. `own` is the recipe's table.
function M.of(p, advertise, own)
  local o = copy(own)
  for _, name in ipairs(plain) do
    if given(p[name]) then o[name] = p[name] end
  end
  if given(p.command) then o.cmd = p.command end
  if given(p.networks) then
    o.networks = copy(o.networks)
    for _, name in ipairs(p.networks) do o.networks[name] = o.networks[name] or {} end
  end
  o.env, o.labels, o.restart = environment(o.env, p), copy(o.labels), o.restart or p.restart
  for name, declared in pairs(secrets(p)) do o.env[name] = secret(declared) end
  o.expose = {tostring(p.port), unpack(o.expose or {})}
  if advertise ~= "" then
    local host = net.parse(p.publish)
    if not host then fail("publish: " .. p.publish .. " is not an address of the engine", {kind = "invalid_argument"}) end
    o.ports = {(host.kind == "ip6" and "[" .. host.host .. "]" or host.host) .. "::" .. p.port, unpack(o.ports or {})}
  end
  return o
end

-- Returns the options as they are digested: secrets by a digest of their values, so that
-- changing one makes another release.
function M.digest(options, salt)
  local plainly = copy(options)
  plainly.env = {}
  for name, value in pairs(options.env) do
    plainly.env[name] = type(value) == "string" and value or {digest = sha256(value, {salt = salt .. "/" .. name})}
  end
  return plainly
end

-- Returns the options for a command that runs once: no port, no restart, no check.
function M.of_job(options, command)
  local o = copy(options)
  for _, name in ipairs{"restart", "ports", "expose", "publish_all", "healthcheck", "ip", "aliases", "hostname"} do o[name] = nil end
  o.cmd = command
  return o
end

return M

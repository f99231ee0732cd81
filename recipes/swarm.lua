-- Deploys an image as a service of a swarm, one batch of tasks after another.
--
-- Creates the service, or gives it the new image, and waits until the swarm has
-- replaced its tasks. If a task ends or does not become healthy, the swarm goes
-- back to the previous configuration; the run waits for that, and fails. If
-- anything else goes wrong after the update began, the run restores the previous
-- configuration.
local p = params{
  image       = {required = true, doc = "the image; each node must have it, or be able to pull it"},
  app         = {default = "app", doc = "the service's name, and its label mepc.app"},
  replicas    = {type = "integer", min = 0, default = 2, doc = "how many tasks; an existing service keeps its number unless scale=true"},
  scale       = {type = "boolean", default = false, doc = "whether to set the number of replicas of an existing service"},
  ports       = {type = "list", default = {}, doc = "ports to publish, such as 8080:8080"},
  publish     = {type = "enum", values = {"ingress", "host"}, default = "ingress", doc = "where to publish them: on every node, or only where the tasks run"},
  env         = {type = "list", default = {}, doc = "environment variables, as NAME=value"},
  secrets     = {type = "list", default = {}, doc = "the swarm's secrets that the tasks read in /run/secrets"},
  networks    = {type = "list", default = {}, doc = "overlay networks for the tasks"},
  constraints = {type = "list", default = {}, doc = "which nodes may run the tasks, such as node.role==worker"},
  check       = {type = "list", default = {}, doc = "the program, with its arguments, that checks a task's health; empty: the image's HEALTHCHECK"},
  interval    = {type = "duration", default = "2s", doc = "the time between health checks, if check is given"},
  parallelism = {type = "integer", min = 0, default = 1, doc = "how many tasks are replaced at a time; 0: all"},
  delay       = {type = "duration", default = "0s", doc = "the time between one batch and the next"},
  monitor     = {type = "duration", default = "5s", doc = "how long a new task is watched: if it ends within this time, the swarm goes back"},
  order       = {type = "enum", values = {"start-first", "stop-first"}, default = "start-first", doc = "whether a new task runs before the old one is stopped"},
  deadline    = {type = "duration", default = "5m", doc = "how long the swarm may take"},
}

-- The service to deploy, computed from the parameters alone.
local function wanted()
  local env = {}
  for _, pair in ipairs(p.env) do
    local name, value = pair:match("^([^=]+)=(.*)$")
    if not name then fail("env: " .. pair .. " is not NAME=value", {kind = "invalid_argument"}) end
    env[name] = value
  end
  local pace = {parallelism = p.parallelism, delay = p.delay, monitor = p.monitor, order = p.order}
  local spec = {
    image = p.image, labels = {["mepc.app"] = p.app}, env = env, secrets = p.secrets, constraints = p.constraints,
    update = {parallelism = p.parallelism, delay = p.delay, monitor = p.monitor, order = p.order, failure_action = "rollback"}, rollback = pace,
  }
  if #p.networks > 0 then spec.networks = p.networks end
  if #p.ports > 0 then spec.ports, spec.publish_mode = p.ports, p.publish end
  if #p.check > 0 then spec.healthcheck = {cmd = p.check, interval = p.interval} end
  spec.labels["mepc.config"] = sha256(json.encode(spec)) -- identifies what this run wants
  return spec
end

local engine = docker.connect()
if not engine:swarm().manager then
  fail("the engine is not a manager of a swarm", {kind = "unavailable", hint = "make it one with docker.swarm_init(), or name another engine with --docker"})
end
lock(p.app)
local spec, before = wanted(), engine:service(p.app)

if not before then
  spec.name, spec.replicas = p.app, p.replicas
  step("create " .. p.app, function()
    engine:service_create(spec)
    local undo = defer("remove " .. p.app, function()
      engine:service_remove(p.app, {missing_ok = true})
      return p.app .. " was removed"
    end)
    engine:service_wait(p.app, {deadline = p.deadline})
    undo:cancel()
  end)
  log(p.app .. " runs " .. p.image .. " in " .. p.replicas .. " tasks")
  return
end

if before.labels["mepc.app"] ~= p.app then
  fail("the service " .. p.app .. " was not created by mepc-run", {
    kind = "conflict", hint = "use another name with app=, or adopt the service: docker service update --label-add mepc.app=" .. p.app .. " " .. p.app})
end
if p.scale then spec.replicas = p.replicas end
local known = before.labels["mepc.config"] == spec.labels["mepc.config"]
if known then spec.env = nil end -- a rehearsal does not know the current values
local after
step("update " .. p.app, function()
  -- A lost reply, or a deadline, may leave the update under way: the swarm's own memory
  -- of the service undoes it. The same goes for an update that an interrupted run left
  -- under way, but not for one by someone else.
  local undo = defer("restore " .. p.app, function()
    local now = engine:service(p.app)
    local ours = now and now.labels["mepc.config"] == spec.labels["mepc.config"]
    local begun = ours and (not known or now.image ~= before.image or before.update.state == "updating")
    if begun and now.previous ~= "" then
      engine:service_rollback(p.app)
    elseif not now or not now.update.state:find("^rollback") then
      return p.app .. " was not changed"
    end
    engine:service_wait(p.app, {deadline = "2m", rollback = true})
    return p.app .. " runs " .. engine:service(p.app).image .. " again"
  end)
  engine:service_update(p.app, spec)
  after = engine:service_wait(p.app, {deadline = p.deadline})
  undo:cancel()
end)
if known and after.image == before.image and after.desired == before.desired then
  log(p.app .. " runs " .. p.image .. " already")
else
  log(p.app .. " runs " .. p.image .. " in " .. after.running .. " tasks")
end

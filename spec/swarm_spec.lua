-- One service of a swarm, updated in batches, and what happens when it cannot be.
local function image(version, behaviour)
  return {ref = "mepc/app:" .. version, expose = {"8080"}, behaviour = behaviour}
end

-- swarm is a manager with two workers, and the service where one is given.
local function swarm(service)
  return world{
    images = {
      image("1"), image("2"), image("3", {unhealthy = true}), image("4", {exit_on_start = true, exit_code = 3}),
      image("5", {dies_after = "2s", exit_code = 1}),
    },
    swarm = {nodes = {{name = "b"}, {name = "c"}}, services = service and {service} or {}, secrets = {"password-1"}},
  }
end

local old = {name = "app", image = "mepc/app:1", replicas = 3, labels = {["mepc.app"] = "app"}}

local function deploy(w, version, more)
  local params = {image = "mepc/app:" .. version, check = {"/app", "-check"}, interval = "1s"}
  for key, value in pairs(more or {}) do params[key] = value end
  return w:run("recipes/swarm.lua", params)
end

-- runs says which images run, and in how many tasks.
local function runs(w)
  local count = {}
  for _, t in ipairs(w.docker:tasks("app", {running = true})) do
    if t.state == "running" then count[t.image] = (count[t.image] or 0) + 1 end
  end
  return count
end

-- nothing says that a run found all as wanted.
local function nothing(run)
  assert.is_nil(run.error)
  for _, e in ipairs(run.effects) do assert.are.equal("unchanged", e.outcome) end
end

describe("swarm", function()
  it("creates the service", function()
    local w = swarm()
    local run = deploy(w, "1", {replicas = 3, secrets = {"password-1"}, ports = {"8080:8080"}, env = {"A=b=c"}})
    assert.is_nil(run.error)
    assert.are.same({["mepc/app:1"] = 3}, runs(w))
    assert.are.same({A = "b=c"}, w.docker:service("app").env)
    nothing(deploy(w, "1", {replicas = 3, secrets = {"password-1"}, ports = {"8080:8080"}, env = {"A=b=c"}}))
  end)

  it("answers at every node, by its tasks in turn, while it is updated", function()
    local w = swarm()
    deploy(w, "1", {replicas = 2, ports = {"8080:8080"}})
    local function said()
      local seen = {}
      for _ = 1, 2 do seen[w:get("http://127.0.0.1:8080/").body] = true end
      return seen
    end
    assert.are.same({["app.1 1\n"] = true, ["app.2 1\n"] = true}, said())
    assert.is_nil(deploy(w, "2", {replicas = 2, ports = {"8080:8080"}}).error)
    assert.are.same({["app.1 2\n"] = true, ["app.2 2\n"] = true}, said())
    w.docker:service_scale("app", 0)
    assert.has_error(function() w:get("http://127.0.0.1:8080/") end)
  end)

  it("takes away a service whose tasks do not become healthy", function()
    local w = swarm()
    local run = deploy(w, "3", {deadline = "20s"})
    assert.are.equal("unhealthy", run.error.kind)
    assert.matches("app was removed", run.error.state)
    assert.is_nil(w.docker:service("app"))
  end)

  it("updates it, and keeps what is not its own", function()
    local w = swarm(old)
    local run = deploy(w, "2")
    assert.is_nil(run.error)
    assert.are.same({["mepc/app:2"] = 3}, runs(w)) -- scale is false
    nothing(deploy(w, "2"))
    assert.is_nil(deploy(w, "2", {scale = true, replicas = 5}).error)
    assert.are.same({["mepc/app:2"] = 5}, runs(w))
  end)

  for version, why in pairs{["3"] = "health check", ["4"] = "non%-zero exit %(3%)", ["5"] = "non%-zero exit %(1%)", ["9"] = "No such image"} do
    it("goes back from " .. version .. ", and says why", function()
      local w = swarm(old)
      local run = deploy(w, version, {order = "stop-first"})
      assert.are.equal("unhealthy", run.error.kind)
      assert.matches(why, run.error.message)
      assert.matches("app runs mepc/app:1 again", run.error.state)
      assert.are.same({["mepc/app:1"] = 3}, runs(w))
      assert.is_nil(deploy(w, "2").error)
    end)
  end

  it("goes back when the swarm takes too long", function()
    local w = swarm(old)
    local run = deploy(w, "2", {delay = "30s", deadline = "40s"})
    assert.are.equal("unhealthy", run.error.kind)
    assert.matches("has not converged after 40s", run.error.message)
    assert.are.same({["mepc/app:1"] = 3}, runs(w))
  end)

  it("takes the nodes to pull what is in a registry", function()
    local w = swarm(old)
    local run = w:run("recipes/swarm.lua", {image = "registry.example.com/shop:7"})
    assert.is_nil(run.error)
    assert.are.same({["registry.example.com/shop:7"] = 3}, runs(w))
  end)

  it("leaves a service alone that is not its own", function()
    local w = swarm{name = "app", image = "mepc/app:1"}
    local run = deploy(w, "2")
    assert.are.equal("conflict", run.error.kind)
    assert.are.same({}, run.effects)
  end)

  it("needs a manager", function()
    local run = deploy(world{images = {image("1")}}, "1")
    assert.are.equal("unavailable", run.error.kind)
    assert.matches("swarm_init", run.error.hint)
  end)

  it("is told when someone else changes the service at the same time", function()
    local w = swarm(old)
    w:fail("docker.service_update", {with = "conflict"})
    local run = deploy(w, "2")
    assert.are.equal("conflict", run.error.kind)
    assert.are.same({["mepc/app:1"] = 3}, runs(w))
  end)

  it("leaves alone what someone else changed", function()
    local w = swarm(old)
    w.docker:service_update("app", {image = "mepc/app:2"})
    w.docker:service_wait("app")
    w:fail("docker.service_update", {with = "conflict"})
    local run = deploy(w, "9")
    assert.are.equal("conflict", run.error.kind)
    assert.matches("app was not changed", run.error.state)
    assert.are.same({["mepc/app:2"] = 3}, runs(w))
  end)

  -- begun makes of the service what a deployment makes of it, and lets it be cut off there.
  local function begun(w, version, more)
    local twin = swarm(old)
    assert.is_nil(deploy(twin, version, more).error)
    local rollback = {order = "start-first", monitor = "5s", delay = more.delay}
    w.docker:service_update("app", {
      image = "mepc/app:" .. version, labels = {["mepc.config"] = twin.docker:service("app").labels["mepc.config"]},
      healthcheck = {cmd = {"/app", "-check"}, interval = "1s"}, env = {}, secrets = {}, constraints = {},
      update = {order = "start-first", monitor = "5s", delay = more.delay, failure_action = "rollback"}, rollback = rollback,
    })
  end

  it("undoes what an interrupted run left under way", function()
    local w, slow = swarm(old), {delay = "30s", deadline = "5m"}
    begun(w, "2", slow)
    slow.deadline = "10s"
    local run = deploy(w, "2", slow)
    assert.matches("has not converged after 10s", run.error.message)
    assert.matches("app runs mepc/app:1 again", run.error.state)
    assert.are.same({["mepc/app:1"] = 3}, runs(w))
  end)

  it("knows its environment again where a snapshot hides it", function()
    local w, given = swarm(old), {env = {"A=b"}}
    begun(w, "2", given)
    w.docker:service_update("app", {env = {A = "(hidden)"}})
    w.docker:service_wait("app")
    nothing(deploy(w, "2", given))
  end)

  it("finds out what became of an update whose reply was lost", function()
    local w = swarm(old)
    w:lose_reply("docker.service_update")
    assert.is_nil(deploy(w, "2").error)
    assert.are.same({["mepc/app:2"] = 3}, runs(w))
  end)

  -- Every failure at each step: mepc-run test --faults swarm.
  scenario("a service is updated", {
    recipe = "recipes/swarm.lua", params = {image = "mepc/app:2", check = "/app,-check", interval = "1s"}, app = "app",
    world = {images = {image("1"), image("2")}, swarm = {nodes = {{name = "b"}}, services = {old}}},
  })
end)

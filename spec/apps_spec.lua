-- What an ordinary app needs: the options of its containers, its files and secrets, and
-- what a deployment finds out by itself.
local production = require("worlds").production
local recipe = "recipes/bluegreen.lua"

local function app(version, more)
  local params = {app = "shop", host = "shop.test", image = "mepc/app:" .. version}
  for k, v in pairs(more or {}) do params[k] = v end
  return params
end

local function deploy(w, version, more)
  local run = w:run(recipe, app(version, more))
  assert.is_nil(run.error)
  w:advance("1m")
  return run
end

local function running(w) return w.docker:list{all = false, labels = {["mepc.app"] = "shop"}} end

describe("the options of a container", function()
  for option, value in pairs{memory = "64MB", cpus = "0.5", volumes = "data:/data", command = "/app,serve", user = "1000", stop_timeout = "30s", env = "A=1"} do
    it("make a release: " .. option, function()
      local w = production()
      deploy(w, "1.0")
      local before = running(w)[1].id
      deploy(w, "1.0", {[option] = value})
      assert.are_not.equal(before, running(w)[1].id)
      assert.are.equal(1, #running(w))
      assert.are.same({}, deploy(w, "1.0", {[option] = value}).effects)
    end)
  end

  it("put it into several networks", function()
    local w = production()
    w.docker:network_create("back")
    deploy(w, "1.0", {networks = "back"})
    assert.is_not_nil(running(w)[1].networks.back)
  end)

  it("are given to a migration, too", function()
    local w = production{images = {{ref = "mepc/app:1.1", expose = {"8080"}, behaviour = {commands = {["/app migrate"] = {}}}}}}
    local run = w:run("recipes/migrate.lua", app("1.1", {command = "/app,migrate", env = "MODE=prod"}))
    assert.is_nil(run.error)
    for _, c in ipairs(w.docker:list{inspect = true}) do assert.are.equal("prod", c.env.MODE) end
    assert.are.equal(2, #w.docker:list{})
  end)
end)

describe("replicas", function()
  it("are as many as serve, where the caller does not say", function()
    local w = production()
    deploy(w, "1.0", {replicas = 3})
    deploy(w, "1.1")
    assert.are.equal(3, #running(w))
    assert.is_nil(w:run("recipes/canary.lua", app("1.0", {steps = "50", bake = "1s", no_data = "pass"})).error)
    assert.are.equal(3, #running(w))
    assert.is_nil(w:run("recipes/rolling.lua", app("1.1")).error)
    assert.are.equal(3, #running(w))
  end)

  it("are told when they change", function()
    local w = production()
    deploy(w, "1.0", {replicas = 3})
    local run = deploy(w, "1.0", {replicas = 1})
    assert.matches("replicas: 3 serve now, 1 are to", table.concat(run.logs, "\n"))
    assert.are.equal(1, #running(w))
  end)
end)

describe("the port", function()
  it("is the one that the image exposes", function()
    local w = production{images = {{ref = "mepc/app:1.0", expose = {"8000"}}}}
    deploy(w, "1.0")
    assert.matches(":8000$", w.redis:lindex("frontend:shop.test", 1))
  end)

  it("is asked for when the image exposes several", function()
    local w = production{images = {{ref = "mepc/app:1.0", expose = {"8000", "9000"}}}}
    local run = w:run(recipe, app("1.0"))
    assert.are.equal("invalid_argument", run.error.kind)
    assert.are.same({}, run.effects)
    deploy(w, "1.0", {port = 9000})
  end)
end)

describe("recreate", function()
  it("is refused without the operator's flag", function()
    local w = production()
    assert.is_nil(w:run("recipes/recreate.lua", app("1.0")).error)
    local run = w:run("recipes/recreate.lua", app("1.1"))
    assert.are.equal("denied", run.error.kind)
    assert.matches("routed%-containers", run.error.hint)
    assert.matches("1.0", w:get("http://shop.test/").body)
  end)
end)

describe("an image", function()
  local function world_with(image)
    image.ref, image.expose = "mepc/app:1.1", {"8080"}
    return production{images = {{ref = "mepc/app:1.0", expose = {"8080"}}, image}}
  end

  local function pulls(run)
    local n = 0
    for _, e in ipairs(run.effects) do n = n + (e.op == "docker.pull" and 1 or 0) end
    return n
  end

  it("that the engine lacks is pulled, where the caller says so", function()
    local w = world_with{absent = true, pullable = true}
    deploy(w, "1.0")
    local run = w:run(recipe, app("1.1"))
    assert.are.equal("not_found", run.error.kind)
    assert.matches("pull=missing", run.error.hint)
    assert.are.same({}, run.effects)
    assert.are.equal(1, pulls(deploy(w, "1.1", {pull = "missing"})))
    assert.are.same({}, deploy(w, "1.1", {pull = "missing"}).effects)
    assert.are.equal(1, pulls(deploy(w, "1.1", {pull = "always"})))
    assert.are.equal(1, #running(w))
  end)

  it("that no registry has leaves everything as it is", function()
    local w = world_with{absent = true}
    deploy(w, "1.0")
    assert.is_not_nil(w:run(recipe, app("1.1", {pull = "missing"})).error)
    assert.matches("1.0", w:get("http://shop.test/").body)
    assert.are.equal(1, #running(w))
  end)

  it("of another kind of machine is refused before anything starts", function()
    local w = world_with{arch = "arm64"}
    deploy(w, "1.0")
    local run = w:run(recipe, app("1.1"))
    assert.are.equal("invalid_argument", run.error.kind)
    assert.matches("is for linux/arm64, and the engine is linux/amd64", run.error.message)
    assert.matches("platform linux/amd64", run.error.hint)
    assert.are.same({}, run.effects)
  end)
end)

describe("a recipe of one's own", function()
  local own = "spec/fixtures/own/deploy.lua"

  local function environment(w) return w.docker:list{all = false, inspect = true}[1].env end

  it("gives every option, and reads the files beside it", function()
    local w = production()
    assert.is_nil(w:run(own, app("1.0")).error)
    local env = environment(w)
    assert.are.equal("recipe", env.FROM)
    assert.are.equal("file", env.MODE) -- files go before the recipe's table
    assert.are.equal("hello, world", env.GREETING)
    assert.are.equal("1,2", env.PORTS)
    assert.are.equal("shop", w.docker:list{all = false}[1].labels.team)
    assert.are.same({}, w:run(own, app("1.0")).effects)
  end)

  it("takes the parameter before files, and later files before earlier ones", function()
    local w = production()
    assert.is_nil(w:run(own, app("1.0", {env = "MODE=parameter", env_file = {"app.env", "later.env"}})).error)
    assert.are.equal("parameter", environment(w).MODE)
    assert.are.equal("bye", environment(w).GREETING)
  end)

  it("has another release when a file changes", function()
    local w = production()
    assert.is_nil(w:run(own, app("1.0")).error)
    local before = running(w)[1].id
    assert.is_nil(w:run(own, app("1.0", {env_file = {"app.env", "later.env"}})).error)
    assert.are_not.equal(before, running(w)[1].id)
  end)

  it("says where a file is wrong, and none of its values", function()
    local w = production()
    for file, says in pairs{["broken.env"] = "env_file: broken.env", ["none.env"] = "env_file: none.env"} do
      local run = w:run(own, app("1.0", {env_file = file}))
      assert.are.equal("invalid_argument", run.error.kind)
      assert.matches(says, run.error.message)
      assert.not_matches("hunter2", run.error.message .. (run.error.hint or ""))
      assert.are.same({}, run.effects)
    end
  end)
end)

describe("headers", function()
  it("are those of every question, beside those that routers send", function()
    local wants = {Authorization = "Basic eA==", Host = "shop.test", ["X-Forwarded-Proto"] = "http"}
    local w = production{images = {{ref = "mepc/app:1.0", expose = {"8080"}, behaviour = {paths = {["/health"] = {wants = wants}}}}}}
    local run = w:run(recipe, app("1.0", {health = "/health", wait = "3s"}))
    assert.are.equal("unhealthy", run.error.kind)
    assert.matches("401", run.error.message)
    deploy(w, "1.0", {health = "/health", headers = {"Authorization=Basic eA=="}})
  end)
end)

describe("recreate", function()
  local function image(version) return {ref = "mepc/app:" .. version, expose = {"8080"}} end

  -- Every failure at each step: mepc-run test --faults recreate.
  scenario("one after the other", {
    recipe = "recipes/recreate.lua", params = {image = "mepc/app:1.1"}, hosts = {"appserver"}, app = "app",
    gap = true, allow = {"routed-containers"},
    world = {
      images = {image("1.0"), image("1.1")},
      containers = {{name = "app-old", image = "mepc/app:1.0", restart = "always", networks = {{network = "bridge", ip = "172.17.0.2"}},
        labels = {["mepc.app"] = "app", ["mepc.release"] = "old", ["mepc.replica"] = "1"}}},
      redis = {["frontend:appserver"] = {"app", "http://172.17.0.2:8080"}},
      routers = {"127.0.0.1:8080"},
    },
  })
end)

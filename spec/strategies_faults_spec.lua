-- What the other recipes withstand: mepc-run test --faults=2 spec/strategies_faults_spec.lua
local function image(version, age)
  return {ref = "mepc/app:" .. version, expose = {"8080"}, created = "2025-12-31T" .. 24 - age .. ":00:00Z"}
end

local function container(name, version, ip, labels, more)
  local c = {name = name, image = "mepc/app:" .. version, restart = "always", networks = {{network = "bridge", ip = ip}}, labels = labels}
  for k, v in pairs(more or {}) do c[k] = v end
  return c
end

local function labels(release, version, replica)
  return {
    ["mepc.app"] = "app", ["mepc.release"] = release, ["mepc.version"] = version, ["mepc.replica"] = tostring(replica),
    ["mepc.port"] = "8080", ["mepc.image"] = "mepc/app:" .. version, ["mepc.advertise"] = "",
  }
end

local function production(containers, urls)
  return {
    images = {image("0.9", 4), image("1.0", 3), image("1.1", 2)},
    containers = containers,
    redis = {["frontend:appserver"] = {"app", unpack(urls)}},
    routers = {"127.0.0.1:8080"},
  }
end

local function one()
  return production({container("app-1.0-old", "1.0", "172.17.0.2", labels("old", "1.0", 1))}, {"http://172.17.0.2:8080"})
end

local function with(t)
  t.hosts, t.app = {"appserver"}, "app"
  return t
end

describe("canary", function()
  scenario("in two steps", with{recipe = "recipes/canary.lua", params = {image = "mepc/app:1.1", steps = "25,50", bake = "1s", no_data = "pass"}, world = one()})
end)

describe("rolling", function()
  scenario("two containers, one at a time", with{
    recipe = "recipes/rolling.lua", params = {image = "mepc/app:1.1", replicas = 2},
    world = production({
      container("app-1.0-old", "1.0", "172.17.0.2", labels("old", "1.0", 1)),
      container("app-1.0-old-2", "1.0", "172.17.0.3", labels("old", "1.0", 2)),
    }, {"http://172.17.0.2:8080", "http://172.17.0.3:8080"}),
  })
end)

describe("rollback", function()
  scenario("to the release before", with{
    recipe = "recipes/rollback.lua", params = {to = "before"},
    world = production({
      container("app-0.9-before", "0.9", nil, labels("before", "0.9", 1), {status = "exited", networks = {}, restart = "no"}),
      container("app-1.0-old", "1.0", "172.17.0.2", labels("old", "1.0", 1)),
    }, {"http://172.17.0.2:8080"}),
  })
end)

describe("migrate", function()
  local world = one()
  world.images[3].behaviour = {}
  scenario("and deploy", with{recipe = "recipes/migrate.lua", params = {image = "mepc/app:1.1", command = "/app,migrate"}, world = world})
end)

describe("prune", function()
  scenario("an old release", with{
    recipe = "recipes/prune.lua", params = {keep = 0, retain = 1},
    world = production({
      container("app-0.9-before", "0.9", nil, labels("before", "0.9", 1), {status = "exited", networks = {}, restart = "no"}),
      container("app-1.0-old", "1.0", "172.17.0.2", labels("old", "1.0", 1)),
    }, {"http://172.17.0.2:8080"}),
  })
end)

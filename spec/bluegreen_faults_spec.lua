-- What bluegreen withstands: mepc-run test --faults=2 bluegreen tries it against every
-- failure at each of its steps, and every two of them. Copy it beside a recipe of
-- your own.

-- image is one of the app's, some hours old.
local function image(version, age)
  return {ref = "mepc/app:" .. version, expose = {"8080"}, created = "2025-12-31T" .. 24 - age .. ":00:00Z"}
end

-- production is one release behind a router, beside another app.
local function production()
  return {
    images = {image("1.0", 3), image("1.1", 2), image("1.2", 1), {ref = "mepc/shop:7", expose = {"8080"}}},
    containers = {
      {name = "shop", image = "mepc/shop:7", restart = "always", networks = {{network = "bridge", ip = "172.17.0.2"}}},
      {name = "app-old", image = "mepc/app:1.0", restart = "always", networks = {{network = "bridge", ip = "172.17.0.3"}},
        labels = {["mepc.app"] = "app", ["mepc.release"] = "old", ["mepc.replica"] = "1"}},
    },
    redis = {
      ["frontend:appserver"] = {"app", "http://172.17.0.3:8080"},
      ["frontend:shop"] = {"shop", "http://172.17.0.2:8080"},
    },
    routers = {"127.0.0.1:8080"},
  }
end

describe("bluegreen", function()
  invariant("the shop's list is left alone", function(w)
    assert.are.equal("http://172.17.0.2:8080", w.redis:lindex("frontend:shop", 1))
  end)

  scenario("a redeploy", {
    recipe = "recipes/bluegreen.lua", params = {image = "mepc/app:1.1"},
    hosts = {"appserver"}, app = "app", world = production(),
  })

  scenario("a redeploy while others deploy", {
    recipe = "recipes/bluegreen.lua", params = {image = "mepc/app:1.1"},
    hosts = {"appserver"}, app = "app", world = production(),
    others = {same = {}, newer = {image = "mepc/app:1.2"}, older = {image = "mepc/app:1.0"}},
  })

  local empty = production()
  empty.containers[2], empty.redis["frontend:appserver"] = nil, nil
  scenario("the first deploy", {
    recipe = "recipes/bluegreen.lua", params = {image = "mepc/app:1.1"},
    hosts = {"appserver"}, app = "app", world = empty,
  })
end)

-- The routing after an engine's restart.
local function container(name, version, ip, more)
  local c = {
    name = name, image = "mepc/" .. name:match("^%a+") .. ":" .. version, restart = "always", networks = {{network = "bridge", ip = ip}},
    labels = {
      ["mepc.app"] = name:match("^%a+"), ["mepc.release"] = name, ["mepc.replica"] = "1", ["mepc.port"] = "8080", ["mepc.restart"] = "always",
    },
  }
  for k, v in pairs(more or {}) do c[k] = v end
  return c
end

local function production(containers, redis)
  return world{
    images = {{ref = "mepc/app:1.0", expose = {"8080"}}, {ref = "mepc/app:1.1", expose = {"8080"}}, {ref = "mepc/shop:7", expose = {"8080"}}},
    containers = containers, redis = redis, routers = {"127.0.0.1:8080"},
  }
end

local function reconcile(w, more)
  local params = {app = "app"}
  for k, v in pairs(more or {}) do params[k] = v end
  return w:run("recipes/reconcile.lua", params)
end

describe("reconcile", function()
  it("leaves what is right", function()
    local w = production({container("app-1", "1.0", "172.17.0.2")}, {["frontend:www"] = {"app", "http://172.17.0.2:8080"}})
    local run = reconcile(w)
    assert.is_nil(run.error)
    assert.are.same({}, run.effects)
    assert.matches("www is right", run.logs[1])
  end)

  it("repairs a list after addresses were swapped", function()
    local w = production({container("app-1", "1.0", "172.17.0.2"), container("shop-1", "7", "172.17.0.3")}, {
      ["frontend:www"] = {"app", "http://172.17.0.2:8080"}, ["frontend:shop"] = {"shop", "http://172.17.0.3:8080"}, ["dead:www"] = {set = {"0"}}})
    w:restart_engine{shuffle = true}
    w:advance("2s")
    assert.is_nil(reconcile(w).error)
    assert.is_nil(reconcile(w, {app = "shop"}).error)
    assert.matches("^app%-1 ", w:get("http://www/").body)
    assert.matches("^shop%-1 ", w:get("http://shop/").body)
    assert.are.same({}, reconcile(w).effects)
  end)

  it("leaves what a deployment retired, and what is of other machines", function()
    local w = production({container("app-1", "1.0", "172.17.0.9"), container("app-0", "1.0", "172.17.0.3", {restart = "no"})},
      {["frontend:www"] = {"app", "http://172.17.0.2:8080"}})
    assert.is_nil(reconcile(w).error)
    assert.are.same({"app", "http://172.17.0.9:8080"}, w.redis:lrange("frontend:www", 0, -1))
  end)

  it("does not guess which of two releases is right", function()
    local w = production({container("app-1", "1.0", "172.17.0.2"), container("app-2", "1.1", "172.17.0.3")}, {["frontend:www"] = {"app", "http://172.17.0.9:8080"}})
    local run = reconcile(w)
    assert.are.equal("conflict", run.error.kind)
    assert.matches("2 releases are in service: app%-1, app%-2", run.error.message)
    assert.are.same({}, run.effects)
  end)

  it("says that nothing is there", function()
    local w = production({container("app-1", "1.0", "172.17.0.2", {status = "exited", networks = {}})}, {["frontend:www"] = {"app", "http://172.17.0.2:8080"}})
    assert.matches("no container of app is running", reconcile(w).error.message)
    assert.matches("no routing list of blog", reconcile(w, {app = "blog"}).error.message)
  end)
end)

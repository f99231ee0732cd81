-- One app behind several hosts: all lists change in one transaction, or none.
local production = require("worlds").production
local hosts = {"shop.example.com", "www.example.com"}

local function deploy(w, version, more, recipe)
  local params = {image = "mepc/app:" .. version, host = hosts}
  for k, v in pairs(more or {}) do params[k] = v end
  return w:run("recipes/" .. (recipe or "bluegreen") .. ".lua", params)
end

local function serves(w, version)
  for _, host in ipairs(hosts) do
    local answer = w:get("http://" .. host .. "/")
    assert.are.equal(200, answer.status)
    assert.matches(version .. "\n$", answer.body)
  end
end

local function switches(run)
  local n = 0
  for _, e in ipairs(run.effects) do
    if e.op == "redis.multi" and e.target:find("frontend:", 1, true) then n = n + 1 end
  end
  return n
end

describe("several hosts", function()
  it("are registered, and switched, in one transaction each", function()
    local w = production()
    for _, version in ipairs{"1.0", "1.1"} do
      local run = deploy(w, version)
      assert.is_nil(run.error)
      assert.are.equal(1, switches(run))
      serves(w, version)
    end
    assert.are.same({}, deploy(w, "1.1").effects)
  end)

  it("take a further one in", function()
    local w = production()
    assert.is_nil(deploy(w, "1.0", {host = "shop.example.com"}).error)
    assert.is_nil(deploy(w, "1.0").error)
    serves(w, "1.0")
    assert.are.equal(1, #w.docker:list{labels = {["mepc.app"] = "app"}})
  end)

  it("are one when it is named twice", function()
    local w = production()
    assert.is_nil(deploy(w, "1.0", {host = {"WWW.example.com", "www.example.com"}}).error)
    assert.are.equal(2, w.redis:llen("frontend:www.example.com"))
  end)

  it("all stay when one of the lists is another app's", function()
    local w = production()
    deploy(w, "1.0")
    w.redis:lset("frontend:www.example.com", 0, "blog")
    local run = deploy(w, "1.1")
    assert.are.equal("conflict", run.error.kind)
    serves(w, "1.0")
    assert.are.same({}, run.effects)
  end)

  it("all go back when the new release is not confirmed", function()
    local w = production()
    deploy(w, "1.0")
    w:fail("http.get", {after = 1, with = "unavailable"})
    assert.are.equal("unhealthy", deploy(w, "1.1", {confirm_max = "3s"}).error.kind)
    w:heal()
    serves(w, "1.0")
  end)

  it("share out each its own backends in a canary", function()
    local w = production()
    deploy(w, "1.0")
    local old = w.redis:lindex("frontend:www.example.com", 1)
    w.redis:rpush("frontend:www.example.com", old) -- the operator's weight
    local run = deploy(w, "1.1", {steps = "50", bake = "1s", no_data = "pass"}, "canary")
    assert.is_nil(run.error)
    assert.are.equal(2, switches(run))
    serves(w, "1.1")
  end)

  it("needs one", function()
    local run = deploy(production(), "1.0", {host = {}})
    assert.are.equal("invalid_argument", run.error.kind)
    assert.are.same({}, run.effects)
  end)

  scenario("a redeploy", {
    recipe = "recipes/bluegreen.lua", params = {image = "mepc/app:1.1", host = "appserver,www"},
    hosts = {"appserver", "www"}, app = "app",
    world = {
      images = {{ref = "mepc/app:1.0", expose = {"8080"}, created = "2025-12-31T21:00:00Z"}, {ref = "mepc/app:1.1", expose = {"8080"}}},
      containers = {{name = "app-old", image = "mepc/app:1.0", restart = "always", networks = {{network = "bridge", ip = "172.17.0.2"}},
        labels = {["mepc.app"] = "app", ["mepc.release"] = "old", ["mepc.replica"] = "1"}}},
      redis = {["frontend:appserver"] = {"app", "http://172.17.0.2:8080"}, ["frontend:www"] = {"app", "http://172.17.0.2:8080"}},
      routers = {"127.0.0.1:8080"},
    },
  })
end)

-- The recipes before Traefik: dialect=traefik.
local traefik = require("lib.traefik")

local function traefiks(more)
  local t = {
    images = {
      {ref = "mepc/app:1.0", expose = {"8080"}}, {ref = "mepc/app:1.1", expose = {"8080"}},
      {ref = "mepc/app:sick", expose = {"8080"}, behaviour = {sick_after = "3s"}},
    },
    routers = {{address = "127.0.0.1:8080", dialect = "traefik"}},
  }
  for key, value in pairs(more or {}) do t[key] = value end
  return world(t)
end

local function deploy(w, recipe, image, more)
  local params = {image = image, dialect = "traefik"}
  for key, value in pairs(more or {}) do params[key] = value end
  return w:run("recipes/" .. recipe .. ".lua", params)
end

-- serves says which version answers through Traefik.
local function serves(w, version)
  local answer = w:get("http://appserver/")
  assert.are.equal(200, answer.status)
  assert.matches(version .. "\n$", answer.body)
end

-- services are those that Traefik knows.
local function services(w)
  local names, seen = {}, {}
  for _, key in ipairs(w.redis:keys("traefik/http/services/*")) do
    local name = key:match("^traefik/http/services/(.-)/")
    if not seen[name] then names[#names + 1] = name end
    seen[name] = true
  end
  table.sort(names)
  return names
end

describe("traefik", function()
  it("is told of the first deploy", function()
    local w = traefiks()
    assert.is_nil(deploy(w, "bluegreen", "mepc/app:1.0").error)
    serves(w, "1.0")
    assert.are.equal("Host(`appserver`)", w.redis:get("traefik/http/routers/appserver/rule"))
    assert.are.equal("app", w.redis:lindex("frontend:appserver", 0)) -- the list stays what counts
  end)

  it("follows a redeploy, and forgets what was", function()
    local w = traefiks()
    deploy(w, "bluegreen", "mepc/app:1.0")
    local run = deploy(w, "bluegreen", "mepc/app:1.1")
    assert.is_nil(run.error)
    serves(w, "1.1")
    assert.are.same({w.redis:get("traefik/http/routers/appserver/service")}, services(w))
    assert.are.same({}, deploy(w, "bluegreen", "mepc/app:1.1").effects)
  end)

  it("is sent back with the list", function()
    local w = traefiks()
    deploy(w, "bluegreen", "mepc/app:1.0")
    w:fail("http.get", {after = 1, with = "unavailable"})
    local run = deploy(w, "bluegreen", "mepc/app:1.1", {confirm_max = "5s"})
    assert.are.equal("unhealthy", run.error.kind)
    serves(w, "1.0")
  end)

  it("stays where it was when the switch is refused", function()
    local w = traefiks()
    deploy(w, "bluegreen", "mepc/app:1.0")
    w:fail("redis.linsert", {with = "refused"})
    assert.is_not_nil(deploy(w, "bluegreen", "mepc/app:1.1").error)
    w:heal()
    serves(w, "1.0")
    assert.is_nil(deploy(w, "bluegreen", "mepc/app:1.1").error)
    serves(w, "1.1")
    assert.are.equal(1, #services(w))
  end)

  it("is told again when its keys are lost", function()
    local w = traefiks()
    deploy(w, "bluegreen", "mepc/app:1.0")
    w.redis:del(w.redis:keys("traefik/*"))
    assert.are.equal(404, w:get("http://appserver/").status)
    local run = deploy(w, "bluegreen", "mepc/app:1.0")
    assert.is_nil(run.error)
    serves(w, "1.0")
  end)

  it("weighs the steps of a canary", function()
    local w = traefiks()
    deploy(w, "bluegreen", "mepc/app:1.0")
    local run = deploy(w, "canary", "mepc/app:1.1", {steps = {"25"}, bake = "10s", no_data = "pass"})
    assert.is_nil(run.error)
    local weighted = 0
    for _, e in ipairs(run.effects) do
      if e.target:find("/weighted/services/1/weight", 1, true) then weighted = weighted + 1 end
    end
    assert.are.equal(1, weighted)
    assert.are.equal(1, #services(w))
    serves(w, "1.1")
  end)

  it("follows batches", function()
    local w = traefiks()
    deploy(w, "bluegreen", "mepc/app:1.0", {replicas = 3})
    assert.is_nil(deploy(w, "rolling", "mepc/app:1.1", {replicas = 3}).error)
    for _ = 1, 3 do serves(w, "1.1") end
    assert.are.equal(1, #services(w))
  end)

  it("has a service for each list, whose name is made of the host", function()
    assert.are.equal("traefik/http/routers/shop-example/rule", traefik.router_key("shop.example", "rule"))
    local keys = traefik.keys("shop.example", {"http://a", "http://b", "http://b"})
    local service = traefik.service("shop.example", {"http://a", "http://b", "http://b"})
    assert.are.same({"traefik/http/services/" .. service .. "/weighted/services/1/weight", "2"}, keys[5])
    assert.are.same({"traefik/http/services/" .. service .. "-1/loadbalancer/servers/0/url", "http://b"}, keys[6])
    keys = traefik.keys("shop.example", {"http://a", "http://b", "http://a", "http://b"})
    assert.are.equal(2, #keys)
  end)

  -- What Traefik is asked is answered at every step, whatever fails.
  local before = {
    images = {{ref = "mepc/app:1.0", expose = {"8080"}, created = "2025-12-31T21:00:00Z"}, {ref = "mepc/app:1.1", expose = {"8080"}}},
    containers = {{name = "app-old", image = "mepc/app:1.0", restart = "always", networks = {{network = "bridge", ip = "172.17.0.2"}},
      labels = {["mepc.app"] = "app", ["mepc.release"] = "old", ["mepc.replica"] = "1"}}},
    redis = {
      ["frontend:appserver"] = {"app", "http://172.17.0.2:8080"},
      ["traefik/http/routers/appserver/rule"] = "Host(`appserver`)",
      ["traefik/http/routers/appserver/service"] = "old",
      ["traefik/http/services/old/loadbalancer/servers/0/url"] = "http://172.17.0.2:8080",
    },
    routers = {{address = "127.0.0.1:8080", dialect = "traefik"}},
  }
  scenario("a redeploy", {
    recipe = "recipes/bluegreen.lua", params = {image = "mepc/app:1.1", dialect = "traefik"},
    hosts = {"appserver"}, app = "app", world = before,
  })
  scenario("a canary", {
    recipe = "recipes/canary.lua", params = {image = "mepc/app:1.1", steps = "50", bake = "1s", no_data = "pass", dialect = "traefik"},
    hosts = {"appserver"}, app = "app", world = before,
  })
end)

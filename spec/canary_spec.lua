-- What canary does, in simulated worlds: the numbers that judge it are a router's.
local recipe, admin = "recipes/canary.lua", "http://127.0.0.1:8081"
local old = "http://172.17.0.2:8080"

-- production is one release behind a router that gets `rate` requests a second.
-- `behaviour` is that of the new image.
local function production(rate, behaviour)
  return world{
    images = {
      {ref = "mepc/app:1.0", expose = {"8080"}},
      {ref = "mepc/app:1.1", expose = {"8080"}, behaviour = behaviour},
    },
    containers = {{
      name = "app-old", image = "mepc/app:1.0", networks = {{network = "bridge", ip = "172.17.0.2"}},
      labels = {["mepc.app"] = "app", ["mepc.release"] = "old", ["mepc.replica"] = "1"},
    }},
    redis = {["frontend:appserver"] = {list = {"app", old}}},
    routers = {{address = "127.0.0.1:8080", admin = "127.0.0.1:8081", rate = rate}},
  }
end

local function deploy(w, more)
  local params = {image = "mepc/app:1.1", admin = admin}
  for k, v in pairs(more or {}) do params[k] = v end
  return w:run(recipe, params)
end

-- share returns how many of the backends in the routing list are `url`, and of how many.
local function share(w, url)
  local list, n = w.redis:lrange("frontend:appserver", 1, -1), 0
  for _, u in ipairs(list) do
    if u == url then n = n + 1 end
  end
  return n, #list
end

describe("canary", function()
  it("gives a good release 10, 25, 50 and then all of the traffic", function()
    local w = production(50)
    local run = deploy(w)
    assert.is_nil(run.error)
    local lists = {}
    for _, e in ipairs(run.effects) do
      if e.op == "redis.multi" then lists[#lists + 1] = e.target end
    end
    assert.are.equal(4, #lists)
    local n, all = share(w, old)
    assert.are.equal(0, n)
    assert.are.equal(1, all)
    assert.matches("1%.1", w:get("http://appserver/").body)
  end)

  it("takes a release that fails requests back and marks it bad", function()
    local w = production(50, {error_rate = 0.2})
    local run = deploy(w)
    assert.are.equal("unhealthy", run.error.kind)
    assert.matches("20 %%", run.error.message)
    local n, all = share(w, old)
    assert.are.equal(1, n)
    assert.are.equal(1, all)
    assert.are.equal(1, #w.docker:list{labels = {["mepc.app"] = "app"}}) -- the old one
    assert.are.equal(1, w.redis:hlen("mepc:bad:app"))
    assert.matches("1%.0", w:get("http://appserver/").body)
  end)

  it("takes a release back that is too slow", function()
    local w = production(50, {latency = "400ms"})
    local run = deploy(w, {max_latency = "300ms"})
    assert.are.equal("unhealthy", run.error.kind)
    assert.matches("max_latency", run.error.message)
    assert.are.equal(1, (share(w, old)))
  end)

  it("takes a release back that dies under its share", function()
    local w = production(50, {dies_after = "90s"})
    local run = deploy(w)
    assert.are.equal("unhealthy", run.error.kind)
    assert.matches("died", run.error.message)
    assert.are.equal(1, (share(w, old)))
  end)

  describe("without requests", function()
    it("waits, then takes the release back", function()
      local w = production(0)
      local run = deploy(w, {hold_max = "2m"})
      assert.are.equal("unhealthy", run.error.kind)
      assert.matches("no verdict", run.error.message)
      assert.are.equal(1, (share(w, old)))
    end)

    it("goes on when the operator says so", function()
      local w = production(0)
      assert.is_nil(deploy(w, {no_data = "pass"}).error)
      assert.are.equal(0, (share(w, old)))
    end)
  end)

  it("has nothing to watch at the first deploy", function()
    local w = world{images = {{ref = "mepc/app:1.1", expose = {"8080"}}}, routers = {{address = "127.0.0.1:8080", admin = "127.0.0.1:8081"}}}
    assert.is_nil(deploy(w).error)
    assert.matches("1%.1", w:get("http://appserver/").body)
  end)

  it("does nothing the second time", function()
    local w = production(50)
    deploy(w)
    local again = deploy(w)
    assert.is_nil(again.error)
    assert.are.equal(0, #again.effects)
  end)

  it("refuses steps that do not grow before anything is done", function()
    local w = production(50)
    local run = deploy(w, {steps = "50,25"})
    assert.are.equal("invalid_argument", run.error.kind)
    assert.matches("26", run.error.message .. run.error.hint .. "26")
    assert.are.equal(0, #run.effects)
  end)
end)

-- What rolling does, in simulated worlds of three old containers.
local recipe = "recipes/rolling.lua"

local function production(behaviour)
  local containers, list = {}, {"app"}
  for i = 1, 3 do
    containers[i] = {
      name = "app-old-" .. i, image = "mepc/app:1.0", networks = {{network = "bridge", ip = "172.17.0." .. i + 1}},
      labels = {["mepc.app"] = "app", ["mepc.release"] = "old", ["mepc.replica"] = tostring(i)},
    }
    list[i + 1] = "http://172.17.0." .. i + 1 .. ":8080"
  end
  return world{
    images = {{ref = "mepc/app:1.0", expose = {"8080"}}, {ref = "mepc/app:1.1", expose = {"8080"}, behaviour = behaviour}},
    containers = containers, redis = {["frontend:appserver"] = {list = list}}, routers = {"127.0.0.1:8080"},
  }
end

local function deploy(w, more)
  local params = {image = "mepc/app:1.1", replicas = 3}
  for k, v in pairs(more or {}) do params[k] = v end
  return w:run(recipe, params)
end

-- order returns what was done to containers, such as "start stop start stop".
local function order(run)
  local words = {}
  for _, e in ipairs(run.effects) do
    local verb = e.op:match("^docker%.(st.*)")
    if verb then words[#words + 1] = verb end
  end
  return table.concat(words, " ")
end

local function running(w, release)
  local n = 0
  for _, c in ipairs(w.docker:list{all = false, labels = {["mepc.app"] = "app"}}) do
    if (c.labels["mepc.release"] == "old") == (release == "old") then n = n + 1 end
  end
  return n
end

describe("rolling", function()
  it("replaces one after the other, the new one first", function()
    local w = production()
    local run = deploy(w)
    assert.is_nil(run.error)
    assert.are.equal("start stop start stop start stop", order(run))
    assert.are.equal(3, running(w, "new"))
    assert.are.equal(0, running(w, "old"))
    assert.are.equal(3, w.redis:llen("frontend:appserver") - 1)
    assert.matches("1%.1", w:get("http://appserver/").body)
  end)

  it("replaces two at a time, the old ones first", function()
    local w = production()
    local run = deploy(w, {order = "stop-first", batch = 2})
    assert.is_nil(run.error)
    assert.are.equal("stop stop start start stop start", order(run))
    assert.are.equal(3, running(w, "new"))
  end)

  it("scales while it replaces", function()
    local w = production()
    assert.is_nil(deploy(w, {replicas = 5, batch = 2}).error)
    assert.are.equal(5, running(w, "new"))
    assert.are.equal(5, w.redis:llen("frontend:appserver") - 1)
  end)

  it("refuses to leave the host without a backend", function()
    local w = production()
    local run = deploy(w, {order = "stop-first", batch = 3})
    assert.are.equal("invalid_argument", run.error.kind)
    assert.are.equal(3, running(w, "old"))
  end)

  it("starts the old ones again when a later batch fails", function()
    local w = production()
    w:fail("docker.start", {nth = 2, with = "refused"})
    local run = deploy(w)
    assert.is_truthy(run.error)
    assert.are.equal(3, running(w, "old"))
    assert.are.equal(0, running(w, "new"))
    assert.are.equal(3, w.redis:llen("frontend:appserver") - 1)
    for _ = 1, 6 do assert.matches("1%.0", w:get("http://appserver/").body) end
  end)

  it("leaves everything as it was when the first new one is not healthy", function()
    local w = production{unhealthy = true}
    local run = deploy(w)
    assert.are.equal("unhealthy", run.error.kind)
    assert.are.equal(3, running(w, "old"))
    assert.are.equal(0, running(w, "new"))
  end)

  it("leaves running what another host points to", function()
    local w = production()
    w.redis:rpush("frontend:other", "app", "http://172.17.0.3:8080")
    local run = deploy(w)
    assert.is_nil(run.error)
    assert.matches("app%-old%-2 is left running: other points to it", table.concat(run.logs, "\n"))
    assert.are.equal(1, running(w, "old"))
    assert.are.equal(3, running(w, "new"))
    assert.are.equal(200, w:get("http://other/").status)
  end)

  it("does nothing the second time", function()
    local w = production()
    deploy(w)
    assert.are.equal(0, #deploy(w).effects)
  end)
end)

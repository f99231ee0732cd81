-- One deployment for several engines.
local function engine(name, host, images)
  return {name = name, host = host, images = images or {}, bridge = "172.17.0.0/16"}
end

local function image(version, more)
  local i = {ref = "mepc/app:" .. version, expose = {"8080"}, layers = {
    {diff_id = "sha256:" .. ("a"):rep(64), size = 1000000}, {diff_id = "sha256:" .. version:gsub("%D", ""):rep(32), size = 1000}}}
  for key, value in pairs(more or {}) do i[key] = value end
  return i
end

-- fleet is a machine that builds, and three that serve; stores says by number which
-- keep images in containerd, which know an image by another ID each.
local function fleet(stores)
  local sick = image("12", {absent = true, behaviour = {unhealthy = true}}) -- once it is there
  local engines = {
    engine("unix:///var/run/docker.sock", "127.0.0.1", {image("10"), image("11"), image("12")}),
    engine("ssh://deploy@10.0.0.1", "10.0.0.1"), engine("ssh://deploy@10.0.0.2", "10.0.0.2", {sick}), engine("ssh://deploy@10.0.0.3", "10.0.0.3"),
  }
  for _, n in ipairs(stores or {}) do engines[n].store = "containerd" end
  return world{
    engines = engines,
    routers = {"127.0.0.1:8080"},
  }
end
local engines = {"ssh://deploy@10.0.0.1=10.0.0.1", "ssh://deploy@10.0.0.2=10.0.0.2", "ssh://deploy@10.0.0.3=10.0.0.3"}

local function deploy(w, version, more)
  local params = {image = "mepc/app:" .. version, engines = engines, wait = "5s"}
  for key, value in pairs(more or {}) do params[key] = value end
  return w:run("recipes/fleet.lua", params)
end

local function serves(w, version)
  local seen = {}
  for _ = 1, 9 do
    local answer = w:get("http://appserver/")
    assert.are.equal(200, answer.status)
    seen[answer.body:match("(%S+)\n$")] = true
  end
  assert.are.same({[version] = true}, seen)
end

describe("fleet", function()
  it("ships, starts everywhere, and switches once", function()
    local w = fleet()
    local run = deploy(w, "10")
    assert.is_nil(run.error)
    serves(w, "10")
    local switches = 0
    for _, e in ipairs(run.effects) do
      if e.op == "redis.multi" then switches = switches + 1 end
    end
    assert.are.equal(1, switches)
    assert.are.equal(4, #w.redis:lrange("frontend:appserver", 0, -1))
    assert.matches("^ssh://deploy@10%.0%.0%.3  started  http://10%.0%.0%.3:%d+$", run.logs[#run.logs])
    assert.are.same({}, deploy(w, "10").effects)
  end)

  it("sends only what is new, and stops the old release everywhere", function()
    local w = fleet()
    deploy(w, "10")
    local run = deploy(w, "11")
    assert.is_nil(run.error)
    serves(w, "11")
    local stopped = 0
    for _, e in ipairs(run.effects) do
      if e.op == "docker.stop" then stopped = stopped + 1 end
    end
    assert.are.equal(3, stopped)
  end)

  it("stays on the old release everywhere when one engine fails", function()
    local w = fleet()
    deploy(w, "10")
    w:fail("docker.start", {nth = 3, with = "refused"})
    local run = deploy(w, "11")
    assert.are.equal("refused", run.error.kind)
    assert.matches("ssh://deploy@10.0.0.[123]: ", table.concat(run.logs, "\n"))
    serves(w, "10")
    for _, e in ipairs(run.effects) do assert.are_not.equal("redis.multi", e.op) end
    w:heal()
    assert.is_nil(deploy(w, "11").error)
    serves(w, "11")
  end)

  it("never switches to what is not healthy", function()
    local w = fleet()
    deploy(w, "10")
    local run = deploy(w, "12")
    assert.are.equal("unhealthy", run.error.kind)
    serves(w, "10")
  end)

  it("sends traffic back in one switch", function()
    local w = fleet()
    deploy(w, "10")
    w:fail("http.get", {after = 1, with = "unavailable"})
    local run = deploy(w, "11", {confirm_max = "3s"})
    assert.are.equal("unhealthy", run.error.kind)
    serves(w, "10")
  end)

  -- Two engines of one machine, or behind one address: the port tells them apart.
  it("tells engines behind one address apart", function()
    local w = world{
      engines = {
        engine("unix:///var/run/docker.sock", "127.0.0.1", {image("10"), image("11")}),
        engine("ssh://a@10.0.0.1", "10.0.0.1"), engine("ssh://b@10.0.0.1", "10.0.0.1"),
      },
      routers = {"127.0.0.1:8080"},
    }
    local both = {"ssh://a@10.0.0.1=10.0.0.1", "ssh://b@10.0.0.1=10.0.0.1"}
    assert.is_nil(deploy(w, "10", {engines = both, replicas = 2}).error)
    local seen = {}
    for _, url in ipairs{unpack(w.redis:lrange("frontend:appserver", 0, -1), 2)} do
      assert.matches("^http://10.0.0.1:%d+$", url)
      assert.is_nil(seen[url])
      seen[url] = true
    end
    serves(w, "10")
    w:advance("1m")
    assert.is_nil(deploy(w, "11", {engines = both}).error)
    assert.are.equal(5, #w.redis:lrange("frontend:appserver", 0, -1)) -- as many on each as before
    serves(w, "11")
    assert.are.same({}, deploy(w, "11", {engines = both}).effects)
  end)

  it("takes an engine in whose address changed with the next release, not by itself", function()
    local w = fleet()
    deploy(w, "10")
    local moved = {engines[1], engines[2], "ssh://deploy@10.0.0.3=10.0.0.33"}
    local run = deploy(w, "10", {engines = moved})
    assert.are.equal("conflict", run.error.kind)
    assert.matches("is reached at 10.0.0.3, not at 10.0.0.33", run.error.message)
    serves(w, "10")
    assert.are.same({}, deploy(w, "10").effects)
  end)

  for name, stores in pairs{
    ["one that serves"] = {3}, ["two that serve"] = {2, 4}, ["the one that builds"] = {1}, ["all"] = {1, 2, 3, 4}, ["all that serve"] = {2, 3, 4},
  } do
    it("is one release whatever the engines call its image: in containerd keeps " .. name, function()
      local w = fleet(stores)
      assert.is_nil(deploy(w, "10").error)
      serves(w, "10")
      assert.are.same({}, deploy(w, "10").effects)
      w:advance("1m")
      local run = deploy(w, "11")
      assert.is_nil(run.error)
      serves(w, "11")
      assert.are.same({}, deploy(w, "11").effects)
      w:fail("http.get", {after = 1, with = "unavailable"})
      assert.are.equal("unhealthy", deploy(w, "10", {confirm_max = "3s"}).error.kind)
      w:heal()
      serves(w, "11")
      w:advance("1m")
      assert.is_nil(deploy(w, "10").error) -- back to what is kept
      serves(w, "10")
      w:advance("1m")
      assert.is_nil(deploy(w, "11", {env = {"A=b"}}).error)
      serves(w, "11")
    end)
  end

  it("says what an engine is written like", function()
    local w = fleet()
    for text, says in pairs{["ssh://deploy@10.0.0.1"] = "is not URL=ADDRESS", ["ssh://deploy@10.0.0.1=10.0.0.1,ssh://deploy@10.0.0.1=10.0.0.2"] = "is listed twice"} do
      local run = deploy(w, "10", {engines = text})
      assert.are.equal("invalid_argument", run.error.kind)
      assert.matches(says, run.error.message)
      assert.are.same({}, run.effects)
    end
  end)

  -- Every failure at each step: mepc-run test --faults fleet.
  local function serving(n)
    local e = engine("ssh://deploy@10.0.0." .. n, "10.0.0." .. n, {image("10", {created = "2025-12-31T10:00:00Z"})})
    e.containers = {{
      name = "app-10-old", image = "mepc/app:10", restart = "always", publish = {{port = "8080/tcp", host_ip = "0.0.0.0", host = 40000 + n}},
      labels = {
        ["mepc.app"] = "app", ["mepc.release"] = "old", ["mepc.version"] = "10", ["mepc.image"] = "mepc/app:10", ["mepc.port"] = "8080",
        ["mepc.replica"] = "1", ["mepc.restart"] = "always", ["mepc.advertise"] = "10.0.0." .. n,
      },
    }}
    return e
  end
  scenario("three engines", {
    recipe = "recipes/fleet.lua", params = {image = "mepc/app:11", engines = table.concat(engines, ",")},
    hosts = {"appserver"}, app = "app",
    world = {
      engines = {engine("unix:///var/run/docker.sock", "127.0.0.1", {image("11")}), serving(1), serving(2), serving(3)},
      redis = {["frontend:appserver"] = {"app", "http://10.0.0.1:40001", "http://10.0.0.2:40002", "http://10.0.0.3:40003"}},
      routers = {"127.0.0.1:8080"},
    },
  })
end)

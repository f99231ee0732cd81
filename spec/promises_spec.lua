-- Promises that once broke: each input here is an example of its kind.
local production = require("worlds").production

local function app(host, version, more)
  local params = {app = "mm", image = "mepc/app:" .. version, host = host}
  for k, v in pairs(more or {}) do params[k] = v end
  return params
end

local function deploy(w, host, version, more)
  local run = w:run("recipes/bluegreen.lua", app(host, version, more))
  assert.is_nil(run.error)
  w:advance("1m")
  return run
end

local function version(w, host) return w:get("http://" .. host .. "/").body:match("(%S+)\n$") end

local function containers(w, filter)
  local list = {}
  for i, c in ipairs(w.docker:list(filter or {})) do list[i] = c.name end
  return list
end

describe("history is a host's", function()
  local function both()
    local w = production()
    deploy(w, "p.test", "1.0")
    deploy(w, "p.test", "1.1")
    deploy(w, "s.test", "slow", {env = {STAGE = "1"}})
    deploy(w, "s.test", "slow", {env = {STAGE = "2"}})
    return w
  end

  it("a rollback returns to what served that host last", function()
    local w = both()
    assert.is_nil(w:run("recipes/rollback.lua", {app = "mm", host = "p.test"}).error)
    assert.are.equal("1.0", version(w, "p.test"))
    assert.are.equal("slow", version(w, "s.test"))
  end)

  it("retention counts per host", function()
    local w = both()
    assert.are.equal(4, #containers(w)) -- keep=1 of each
    assert.is_nil(w:run("recipes/prune.lua", {app = "mm", host = "s.test", keep = 0, retain = 1}).error)
    assert.are.equal(3, #containers(w))
    assert.is_nil(w:run("recipes/rollback.lua", {app = "mm", host = "p.test"}).error)
  end)

  it("a release that never served is not returned to", function()
    local w = production()
    deploy(w, "p.test", "1.0")
    deploy(w, "p.test", "1.1")
    w:fail("redis.multi", {with = "unavailable", nth = 1})
    w:fail("docker.remove", {with = "unavailable"}) -- what was started is left behind
    assert.is_not_nil(w:run("recipes/bluegreen.lua", app("p.test", "slow")).error)
    w:heal()
    deploy(w, "p.test", "1.1")
    assert.is_nil(w:run("recipes/rollback.lua", {app = "mm", host = "p.test"}).error)
    assert.are.equal("1.0", version(w, "p.test"))
  end)
end)

describe("whatever becomes a key", function()
  for _, host in ipairs{"", " ", "http://x", "x:80", "x/y", "a b", "-", "a..b", "[::1]", "x\ny", "*", "frontend:*", "x*y"} do
    it("is refused: host=" .. json.encode(host), function()
      local w = production()
      for _, recipe in ipairs{"bluegreen", "canary", "rolling"} do
        local run = w:run("recipes/" .. recipe .. ".lua", {image = "mepc/app:1.0", host = {host}})
        assert.are.equal("invalid_argument", run.error.kind)
        assert.are.same({}, run.effects)
      end
      for _, recipe in ipairs{"rollback", "prune"} do
        assert.are.equal("invalid_argument", w:run("recipes/" .. recipe .. ".lua", {host = {host}}).error.kind)
      end
    end)
  end

  for _, name in ipairs{"", "a b", "-x", "a/b", "http://x", "x\n", "ä"} do
    it("is refused: app=" .. json.encode(name), function()
      for _, recipe in ipairs{"bluegreen", "rollback", "prune", "reconcile"} do
        local run = production():run("recipes/" .. recipe .. ".lua", {app = name, image = recipe == "bluegreen" and "mepc/app:1.0" or nil})
        assert.are.equal("invalid_argument", run.error.kind)
        assert.are.same({}, run.effects)
      end
    end)
  end

  for _, name in ipairs{"\n", "http://10.0.0.1", "a\nb"} do
    it("is refused: identifier=" .. json.encode(name), function()
      local run = production():run("recipes/bluegreen.lua", {image = "mepc/app:1.0", identifier = name})
      assert.are.equal("invalid_argument", run.error.kind)
      assert.are.same({}, run.effects)
    end)
  end

  it("may be what a router looks up", function()
    for host, asked in pairs{["Shop.Example.com."] = "shop.example.com", ["*.example.com"] = "a.example.com", app_1 = "app_1"} do
      local w = production()
      deploy(w, host, "1.0")
      assert.are.equal("1.0", version(w, asked))
    end
  end)

  it("meets no list of strangers in reconcile", function()
    local w = production()
    deploy(w, "p.test", "1.0")
    w.redis:rpush("frontend:", "mm", "http://10.9.9.9:80")
    w.redis:rpush("frontend:stranger.test", "mm", "http://10.9.9.9:80")
    assert.is_nil(w:run("recipes/reconcile.lua", {app = "mm"}).error)
    assert.are.same({"mm", "http://10.9.9.9:80"}, w.redis:lrange("frontend:stranger.test", 0, -1))
    assert.are.same({"mm", "http://10.9.9.9:80"}, w.redis:lrange("frontend:", 0, -1))
  end)
end)

describe("identity is the release", function()
  it("the same image under another tag, or by digest, is nothing new", function()
    local w = production()
    deploy(w, "p.test", "1.0")
    w.docker:tag("mepc/app:1.0", "mepc/app:stable")
    for _, image in ipairs{"mepc/app:stable", w.docker:image("mepc/app:1.0").id} do
      local run = w:run("recipes/bluegreen.lua", app("p.test", "", {image = image}))
      assert.is_nil(run.error)
      assert.are.equal(1, #containers(w))
      assert.are.same({}, run.effects)
    end
    deploy(w, "p.test", "stable", {replicas = 2})
    assert.are.equal(2, #containers(w, {all = false}))
  end)
end)

describe("a kept container", function()
  it("is made anew when its network was", function()
    local w = production{networks = {{name = "n1"}}}
    deploy(w, "p.test", "1.0", {network = "n1"})
    deploy(w, "p.test", "1.1")
    w.docker:network_remove("n1")
    w.docker:network_create("n1")
    local back = w:run("recipes/bluegreen.lua", app("p.test", "1.0", {network = "n1"}))
    assert.is_nil(back.error)
    assert.are.equal("1.0", version(w, "p.test"))
  end)
end)

describe("what is not ours", function()
  it("is never removed: one of our labels is not all of them", function()
    local w = production{containers = {
      {name = "cron", image = "mepc/app:1.0", status = "exited", labels = {["mepc.app"] = "mm"}},
      {name = "worker", image = "mepc/app:1.0", labels = {["mepc.app"] = "mm", ["mepc.release"] = "x"}},
      {name = "odd", image = "mepc/app:1.0", status = "exited", labels = {["mepc.app"] = "mm", ["mepc.replica"] = "1"}},
    }}
    deploy(w, "p.test", "1.0", {keep = 0})
    deploy(w, "p.test", "1.1", {keep = 0})
    for _, name in ipairs{"cron", "worker", "odd"} do assert.is_not_nil(w.docker:find(name)) end
    assert.is_true(w.docker:find("worker").state.running)
  end)
end)

describe("a container of the release's name", function()
  it("that is not its own is left alone when the run fails", function()
    local w = production()
    deploy(w, "p.test", "1.0")
    assert.is_nil(w:run("recipes/bluegreen.lua", app("p.test", "1.1")).error)
    local name = w.docker:list{all = false}[1].name
    w.docker:rename(name, name .. "-away")
    w.docker:create{name = name, image = "mepc/app:1.0"}
    w.docker:start(name)
    deploy(w, "p.test", "1.0")
    w.docker:remove(name .. "-away")
    local run = w:run("recipes/bluegreen.lua", app("p.test", "1.1"))
    assert.are.equal("conflict", run.error.kind)
    assert.matches("does not belong to this release", run.error.message)
    assert.is_true(w.docker:find(name).state.running)
    assert.are.equal("1.0", version(w, "p.test"))
  end)
end)

describe("addresses", function()
  it("are written with brackets where they need them", function()
    local w = production()
    for _, advertise in ipairs{"::1", "[::1]", "0:0::1"} do
      deploy(w, "p.test", "1.0", {advertise = advertise, publish = "::"})
      assert.matches("^http://%[::1%]:%d+$", w.redis:lindex("frontend:p.test", 1))
      assert.are.equal("1.0", version(w, "p.test"))
    end
    deploy(w, "p.test", "1.1", {advertise = "::1", publish = "::"})
    assert.are.equal("1.1", version(w, "p.test"))
    assert.are.equal(1, #containers(w, {all = false}))
  end)

  for _, advertise in ipairs{"10.0.0.5:80", "[::1]:80", "http://10.0.0.5", "10.0.0", "a b", "[10.0.0.5]", "x/y"} do
    it("are refused: advertise=" .. advertise, function()
      local run = production():run("recipes/bluegreen.lua", app("p.test", "1.0", {advertise = advertise}))
      assert.are.equal("invalid_argument", run.error.kind)
      assert.are.same({}, run.effects)
    end)
  end

  it("that lead nowhere are noticed before the switch", function()
    local w = production()
    deploy(w, "p.test", "1.0")
    local run = w:run("recipes/bluegreen.lua", app("p.test", "1.1", {advertise = "172.17.9.9"}))
    assert.are.equal("unhealthy", run.error.kind)
    assert.matches("advertise=172.17.9.9", run.error.hint)
    assert.are.equal("1.0", version(w, "p.test"))
    assert.are.equal(1, #containers(w))
  end)
end)

describe("what is asked", function()
  it("is nothing without health: the HEALTHCHECK decides", function()
    local w = production{images = {{ref = "mepc/app:1.0", expose = {"8080"}, healthcheck = {test = {"CMD", "ok"}}, behaviour = {paths = {["/"] = {status = 500}}}}}}
    local run = w:run("recipes/bluegreen.lua", app("p.test", "1.0", {health = ""}))
    assert.is_nil(run.error)
    assert.is_not_nil(w.redis:lindex("frontend:p.test", 1))
  end)

  it("is answered by a redirect with nothing", function()
    local w = production{images = {{ref = "mepc/app:1.0", expose = {"8080"}, behaviour = {paths = {["/"] = {status = 302}}}}}}
    local run = w:run("recipes/bluegreen.lua", app("p.test", "1.0", {wait = "3s"}))
    assert.are.equal("unhealthy", run.error.kind)
    assert.matches("redirect", run.error.message)
    assert.are.same({}, containers(w))
  end)

  it("is told in the caller's words", function()
    local w = production{images = {{ref = "mepc/app:1.0", expose = {"8000"}, behaviour = {ports = {8000}}}}}
    local run = w:run("recipes/bluegreen.lua", app("p.test", "1.0", {wait = "3s", port = 8080}))
    assert.are.equal("unhealthy", run.error.kind)
    assert.matches("raise wait=", run.error.hint)
    assert.matches("the image exposes 8000/tcp, but port is 8080", run.error.hint)
  end)
end)

describe("values of the environment", function()
  it("keep their commas, and stand in no error", function()
    local w = production()
    deploy(w, "p.test", "1.0", {env = "JAVA_OPTS=-Da=1,-Db=2"})
    assert.are.equal("-Da=1,-Db=2", w.docker:list{inspect = true}[1].env.JAVA_OPTS)
    local run = w:run("recipes/bluegreen.lua", app("p.test", "1.0", {env = {"A=1", "hunter2"}}))
    assert.are.equal("invalid_argument", run.error.kind)
    assert.not_matches("hunter2", run.error.message .. run.error.hint)
  end)
end)

describe("the dialect is the host's", function()
  local function traefik() return production{routers = {{address = "127.0.0.1:8080", dialect = "traefik"}}} end

  it("which a redeploy without it follows", function()
    local w = traefik()
    deploy(w, "p.test", "1.0", {dialect = "traefik"})
    deploy(w, "p.test", "1.1")
    assert.are.equal("1.1", version(w, "p.test"))
  end)

  for _, recipe in ipairs{"canary", "rolling"} do
    it("which " .. recipe .. " follows", function()
      local w = traefik()
      deploy(w, "p.test", "1.0", {dialect = "traefik"})
      local more = recipe == "canary" and {steps = "50", bake = "1s", no_data = "pass"} or nil
      assert.is_nil(w:run("recipes/" .. recipe .. ".lua", app("p.test", "1.1", more)).error)
      assert.are.equal("1.1", version(w, "p.test"))
    end)
  end

  it("which rollback and reconcile follow", function()
    local w = traefik()
    deploy(w, "p.test", "1.0", {dialect = "traefik"})
    deploy(w, "p.test", "1.1")
    assert.is_nil(w:run("recipes/rollback.lua", {app = "mm", host = "p.test"}).error)
    assert.are.equal("1.0", version(w, "p.test"))
    w:restart_engine{shuffle = true}
    w:advance("2s")
    assert.is_nil(w:run("recipes/reconcile.lua", {app = "mm"}).error)
    assert.are.equal("1.0", version(w, "p.test"))
  end)

  it("and a drain waits for what it may not know yet", function()
    local w = traefik()
    deploy(w, "p.test", "1.0", {dialect = "traefik"})
    local run = deploy(w, "p.test", "1.1", {drain = "0s"})
    assert.is_true(run.duration >= 2.5)
  end)
end)

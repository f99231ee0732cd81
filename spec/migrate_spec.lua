-- What migrate does, in simulated worlds: the command of the new image says how it ends.
local function production(result)
  return world{
    images = {
      {ref = "mepc/app:1.0", expose = {"8080"}},
      {ref = "mepc/app:1.1", expose = {"8080"}, behaviour = {commands = {["/app migrate"] = result}}},
    },
    containers = {{
      name = "app-old", image = "mepc/app:1.0", networks = {{network = "bridge", ip = "172.17.0.2"}},
      labels = {["mepc.app"] = "app", ["mepc.release"] = "old", ["mepc.replica"] = "1"},
    }},
    redis = {["frontend:appserver"] = {list = {"app", "http://172.17.0.2:8080"}}},
    routers = {"127.0.0.1:8080"},
  }
end

local function deploy(w, more)
  local params = {image = "mepc/app:1.1", command = "/app,migrate"}
  for k, v in pairs(more or {}) do params[k] = v end
  return w:run("recipes/migrate.lua", params)
end

local function jobs(run)
  local n = 0
  for _, e in ipairs(run.effects) do
    if e.op == "docker.create" and e.target:match("%-migrate$") then n = n + 1 end
  end
  return n
end

describe("migrate", function()
  it("runs the command to its end, then deploys", function()
    local w = production{stdout = "12 rows\n", delay = "30s"}
    local run = deploy(w)
    assert.is_nil(run.error)
    assert.are.equal(1, jobs(run))
    assert.matches("1%.1", w:get("http://appserver/").body)
  end)

  it("does not deploy when the command fails, and tries again next time", function()
    local w = production{stderr = "no such table\n", exit_code = 3}
    local run = deploy(w)
    assert.are.equal("unhealthy", run.error.kind)
    assert.matches("exit code 3", run.error.message)
    assert.matches("1%.0", w:get("http://appserver/").body)
    assert.are.equal(1, jobs(deploy(w)))
  end)

  it("does not run it twice for one release", function()
    local w = production{}
    w:fail("docker.start", {nth = 2, with = "refused"}) -- the release's own container
    assert.is_truthy(deploy(w).error)
    local run = deploy(w)
    assert.is_nil(run.error)
    assert.are.equal(0, jobs(run))
    assert.matches("1%.1", w:get("http://appserver/").body)
  end)

  it("takes away a command that cannot be started", function()
    local w = production{}
    w:fail("docker.start", {with = "refused"})
    assert.is_truthy(deploy(w).error)
    assert.are.equal(1, #w.docker:list{all = true}) -- the old release
  end)

  it("gives up on a command that does not end", function()
    local w = production{delay = "1h"}
    local run = deploy(w, {command_max = "1m"})
    assert.are.equal("timeout", run.error.kind)
    assert.matches("1%.0", w:get("http://appserver/").body)
  end)
end)

-- The talk's own commands, told as specs.
local recipe, context = "recipes/talk.lua", "spec/fixtures/app"

local function stage()
  return world{
    containers = {{name = "db", image = "mepc/db:1.0"}},
    images = {{ref = "mepc/db:1.0", expose = {"5432"}}},
    routers = {"127.0.0.1:8080"},
  }
end

describe("talk", function()
  it("builds, ships, starts and registers", function()
    local w = stage()
    local run = w:run(recipe, {context = context, version = "1.0", color = "blue"})
    assert.is_nil(run.error)
    local ops = {}
    for i, e in ipairs(run.effects) do ops[i] = e.op end
    assert.are.same({
      "docker.build", "docker.save", "docker.load", "docker.create", "docker.start", "redis.rpush", "redis.del",
    }, ops)
    assert.are.equal(200, w:get("http://appserver/").status)
    assert.are.same({"app"}, w.redis:lrange("frontend:appserver", 0, 0))
  end)

  it("moves the traffic to the other colour, and leaves the old one running", function()
    local w = stage()
    w:run(recipe, {context = context, version = "1.0", color = "blue"})
    local run = w:run(recipe, {context = context, version = "1.1", color = "green"})
    assert.is_nil(run.error)
    assert.contains("appserver points to app-green", table.concat(run.logs, "\n"))
    assert.are.equal(2, w.redis:llen("frontend:appserver"))
    assert.is_true(w.docker:inspect("app-blue").state.running)
  end)

  it("refuses the colour that has the traffic", function()
    local w = stage()
    w:run(recipe, {context = context, version = "1.0", color = "blue"})
    local run = w:run(recipe, {context = context, version = "1.1", color = "blue"})
    assert.are.equal("conflict", run.error.kind)
    assert.are.equal("deploy the other colour", run.error.hint)
    assert.are.equal(200, w:get("http://appserver/").status)
  end)

  it("leaves a list alone that it does not understand", function()
    local w = world{
      images = {"mepc/db:1.0"}, containers = {{name = "db", image = "mepc/db:1.0"}},
      redis = {["frontend:appserver"] = {"shop", "http://10.0.0.9:8080"}},
    }
    local run = w:run(recipe, {context = context, version = "1.0", color = "blue"})
    assert.is_not_nil(run.error)
    assert.are.same({"shop", "http://10.0.0.9:8080"}, w.redis:lrange("frontend:appserver", 0, -1))
  end)
end)

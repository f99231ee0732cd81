-- What rollback does, in simulated worlds that bluegreen and canary deployed to.
local function production()
  return world{
    images = {
      {ref = "mepc/app:1.0", expose = {"8080"}}, {ref = "mepc/app:1.1", expose = {"8080"}},
      {ref = "mepc/app:1.2", expose = {"8080"}, behaviour = {error_rate = 0.2}},
    },
    routers = {{address = "127.0.0.1:8080", admin = "127.0.0.1:8081", rate = 50}},
  }
end

local function deploy(w, version, keep)
  local run = w:run("recipes/bluegreen.lua", {image = "mepc/app:" .. version, keep = keep or 2})
  assert.is_nil(run.error)
  w:advance("1m")
end

local function serves(w, version) assert.matches(version, w:get("http://appserver/").body) end

describe("rollback", function()
  it("returns to the release before", function()
    local w = production()
    deploy(w, "1.0")
    deploy(w, "1.1")
    local run = w:run("recipes/rollback.lua")
    assert.is_nil(run.error)
    serves(w, "1%.0")
    assert.are.equal(1, #w.docker:list{all = false, labels = {["mepc.app"] = "app"}})
    for _, e in ipairs(run.effects) do assert.are_not.equal("docker.create", e.op) end
  end)

  it("marks what it leaves, and does not return to it", function()
    local w = production()
    deploy(w, "1.0")
    deploy(w, "1.1")
    assert.is_nil(w:run("recipes/rollback.lua", {reason = "checkout is slow"}).error)
    serves(w, "1%.0")
    local run = w:run("recipes/rollback.lua", {to = "1.1"})
    assert.are.equal("not_found", run.error.kind)
    assert.matches("checkout is slow", run.error.message)
    serves(w, "1%.0")
  end)

  it("goes further back, past a release that is bad", function()
    local w = production()
    deploy(w, "1.0")
    deploy(w, "1.1")
    assert.is_nil(w:run("recipes/rollback.lua", {reason = "bad"}).error)
    deploy(w, "1.2")
    assert.is_nil(w:run("recipes/rollback.lua").error)
    serves(w, "1%.0")
  end)

  it("says so when there is nothing to return to", function()
    local w = production()
    deploy(w, "1.0")
    local run = w:run("recipes/rollback.lua")
    assert.are.equal("not_found", run.error.kind)
    assert.matches("bluegreen", run.error.hint)
    assert.are.equal(0, #run.effects)
    serves(w, "1%.0")
  end)

  it("keeps the traffic where it is when the old release does not come up", function()
    local w = production()
    deploy(w, "1.0")
    deploy(w, "1.1")
    w:fail("docker.start", {nth = 1, with = "refused"})
    assert.is_truthy(w:run("recipes/rollback.lua").error)
    serves(w, "1%.1")
  end)
end)

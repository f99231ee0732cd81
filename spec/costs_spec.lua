-- What a deployment costs, in requests: figures that BENCHMARKS.md states.
local production = require("worlds").production
local recipe = "recipes/bluegreen.lua"

-- deployed is a world in which 1.0 serves, beside a number of other containers and hosts.
local function deployed(more, params)
  local w = production(more)
  local p = {image = "mepc/app:1.0"}
  for k, v in pairs(params or {}) do p[k] = v end
  assert.is_nil(w:run(recipe, p).error)
  w:advance("1m")
  return w
end

local function redeploy(w, more)
  local p = {image = "mepc/app:1.1"}
  for k, v in pairs(more or {}) do p[k] = v end
  local run = w:run(recipe, p)
  assert.is_nil(run.error)
  return run.requests
end

local function containers(n)
  local list = {}
  for i = 1, n do list[i] = {name = "other-" .. i, image = "mepc/app:1.0", status = "exited"} end
  return list
end

local function hosts(n)
  local keys = {}
  for i = 1, n do keys["frontend:h" .. i .. ".test"] = {"h", "http://10.9." .. math.floor(i / 250) .. "." .. 1 + i % 250 .. ":80"} end
  return keys
end

describe("a deployment", function()
  it("asks little when there is nothing to do", function()
    local w = deployed()
    local run = w:run(recipe, {image = "mepc/app:1.0"})
    assert.are.same({}, run.effects)
    assert.is_true(run.requests.docker <= 15)
    assert.is_true(run.requests.redis <= 15)
  end)

  it("costs no more beside a thousand containers", function()
    local alone, among = redeploy(deployed()), redeploy(deployed{containers = containers(1000)})
    assert.is_true(among.docker <= 30)
    assert.are.equal(alone.docker, among.docker)
  end)

  -- The simulated Redis answers a SCAN with all keys, a real one with a thousand of them: a
  -- look at all lists is two ways here, and eleven there with ten thousand lists.
  it("reads many lists in few ways to Redis and back", function()
    local none, many = redeploy(deployed()), redeploy(deployed{redis = hosts(2000)})
    assert.are.equal(none.redis, many.redis)
    assert.is_true(many.redis <= 32)
  end)

  it("costs a few requests for each replica", function()
    local one, five = redeploy(deployed(), {replicas = 1}), redeploy(deployed(nil, {replicas = 5}), {replicas = 5})
    assert.is_true((five.docker - one.docker) / 4 <= 10)
    assert.is_true((five.redis - one.redis) / 4 <= 2)
  end)
end)

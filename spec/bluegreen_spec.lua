-- What bluegreen does, in simulated worlds. Copy it beside a recipe of your own.
local recipe = "recipes/bluegreen.lua"

-- production is one release behind a router.
local function production(more)
  local t = {
    images = {
      {ref = "mepc/app:1.0", expose = {"8080"}},
      {ref = "mepc/app:1.1", expose = {"8080"}},
    },
    routers = {"127.0.0.1:8080"},
  }
  for k, v in pairs(more or {}) do t[k] = v end
  return world(t)
end

-- calls returns a run's effects as "docker.start app-1.1-...".
local function calls(run)
  local list = {}
  for i, e in ipairs(run.effects) do list[i] = e.op .. " " .. e.target end
  return list
end

describe("bluegreen", function()
  describe("first deploy", function()
    it("starts the release and registers the host", function()
      local w = production()
      local run = w:run(recipe, {image = "mepc/app:1.0"})
      assert.is_nil(run.error)
      assert.are.equal("docker.create", run.effects[2] and run.effects[2].op)
      local answer = w:get("http://appserver/")
      assert.are.equal(200, answer.status)
      assert.matches("1%.0", answer.body)
    end)
  end)
end)

-- What recipes/deploy.lua does, in simulated worlds: mepc-run test
local recipe = "recipes/deploy.lua"

-- production is an engine with two versions of the application, and a router.
local function production()
  return world{
    images = {
      {ref = "mepc/app:1.0", expose = {"8080"}},
      {ref = "mepc/app:1.1", expose = {"8080"}},
    },
    routers = {"127.0.0.1:8080"},
  }
end

describe("deploy", function()
  it("moves the traffic to the new release", function()
    local w = production()
    assert.is_nil(w:run(recipe, {image = "mepc/app:1.0"}).error)
    assert.is_nil(w:run(recipe, {image = "mepc/app:1.1"}).error)
    local answer = w:get("http://appserver/")
    assert.are.equal(200, answer.status)
    assert.matches("1.1\n$", answer.body)
  end)

  it("refuses an image that is not there, and changes nothing", function()
    local w = production()
    local run = w:run(recipe, {image = "mepc/app:9.9"})
    assert.are.equal("not_found", run.error.kind)
    assert.are.equal(0, #run.effects)
  end)
end)

-- What bluegreen does, in simulated worlds. Copy it beside a recipe of your own.
local production = require("worlds").production
local recipe = "recipes/bluegreen.lua"

-- calls returns a run's effects on containers and traffic, such as
-- "docker.start app-1.1". The digest in a release's name is left out.
local function calls(run)
  local list = {}
  for _, e in ipairs(run.effects) do
    if not e.target:match("^mepc:") then
      list[#list + 1] = (e.op .. " " .. e.target):gsub("%-%x%x%x%x%x%x%x%x", ""):gsub(" dead:.*", "")
    end
  end
  return list
end

-- deployed is a world in which 1.0 was deployed.
local function deployed(more)
  local w = production(more)
  assert.is_nil(w:run(recipe, {image = "mepc/app:1.0"}).error)
  return w
end

-- serves says which version answers at the host.
local function serves(w, version)
  local answer = w:get("http://appserver/")
  assert.are.equal(200, answer.status)
  assert.matches(version .. "\n$", answer.body)
end

local function names(w, filter)
  local list = {}
  for i, c in ipairs(w.docker:list(filter or {all = true})) do list[i] = c.name:gsub("%-%x+$", "") end
  table.sort(list)
  return list
end

describe("bluegreen", function()
  describe("first deploy", function()
    local w, run
    before_each(function()
      w = production()
      run = w:run(recipe, {image = "mepc/app:1.0"})
    end)

    it("starts the release, then registers the host #real", function()
      assert.is_nil(run.error)
      assert.are.same({"docker.create app-1.0", "docker.start app-1.0", "redis.multi frontend:appserver"}, calls(run))
      serves(w, "1.0")
    end)

    it("writes the identifier and one backend", function()
      local list = w.redis:lrange("frontend:appserver", 0, -1)
      assert.are.equal("app", list[1])
      assert.are.equal(2, #list)
    end)

    it("does nothing when it is run again #real", function()
      local again = w:run(recipe, {image = "mepc/app:1.0"})
      assert.is_nil(again.error)
      assert.are.same({}, again.effects)
    end)

    it("has a plan that people can review", function()
      run:matches_golden("bluegreen-first")
    end)
  end)

  describe("redeploy", function()
    it("starts the new release before the switch, and stops the old one after", function()
      local w = deployed()
      local run = w:run(recipe, {image = "mepc/app:1.1"})
      assert.is_nil(run.error)
      assert.are.same({
        "docker.create app-1.1", "docker.start app-1.1", "redis.multi frontend:appserver",
        "docker.update app-1.0", "docker.stop app-1.0", -- an engine that is restarted does not start it again
      }, calls(run))
      serves(w, "1.1")
      run:matches_golden("bluegreen-redeploy")
    end)

    it("keeps the old release for a quick return", function()
      local w = deployed()
      w:run(recipe, {image = "mepc/app:1.1"})
      assert.are.same({"app-1.0", "app-1.1"}, names(w))
      assert.are.same({"app-1.1"}, names(w, {all = false}))
    end)

    it("returns to it #real", function()
      local w = deployed()
      w:run(recipe, {image = "mepc/app:1.1"})
      local back = w:run(recipe, {image = "mepc/app:1.0"})
      assert.is_nil(back.error)
      assert.are.same({
        "docker.update app-1.0", "docker.start app-1.0", "redis.multi frontend:appserver", "docker.update app-1.1", "docker.stop app-1.1",
      }, calls(back))
      serves(w, "1.0")
    end)

    it("waits for an application that needs a while", function()
      local w = deployed()
      local run = w:run(recipe, {image = "mepc/app:slow"})
      assert.is_nil(run.error)
      assert.is_true(run.duration >= 20)
      serves(w, "slow")
    end)
  end)

  describe("a release that is never healthy", function()
    it("is taken down, and the traffic stays", function()
      local w = deployed()
      local run = w:run(recipe, {image = "mepc/app:sick", wait = "30s"})
      assert.are.equal("unhealthy", run.error.kind)
      assert.matches("not healthy after 30s", run.error.message)
      assert.are.same({"app-1.0"}, names(w))
      serves(w, "1.0")
    end)

    it("is not switched to when it dies at its start #real", function()
      local w = deployed()
      local run = w:run(recipe, {image = "mepc/app:dies"})
      assert.are.equal("unhealthy", run.error.kind)
      assert.are.same({"app-1.0"}, names(w))
      serves(w, "1.0")
    end)
  end)

  describe("rollback after the switch", function()
    it("sends the traffic back when the router goes away", function()
      local w = deployed()
      w:fail("http.get", {after = 1, with = "unavailable"}) -- the first one asks if it is there
      local run = w:run(recipe, {image = "mepc/app:1.1", confirm_max = "5s"})
      assert.are.equal("unhealthy", run.error.kind)
      assert.matches("appserver points to http://172.17.0.2:8080", run.error.state)
      serves(w, "1.0")
      assert.are.same({"app-1.0"}, names(w))
    end)

    it("restores the traffic before it removes anything", function()
      local w = deployed()
      w:fail("http.get", {after = 1, with = "unavailable"})
      local run = w:run(recipe, {image = "mepc/app:1.1", confirm_max = "5s"})
      local undone = {}
      for _, e in ipairs(run.effects) do
        if e.undo then undone[#undone + 1] = e.op end
      end
      assert.are.same({"redis.multi", "docker.stop", "docker.remove"}, undone)
    end)

    it("never switches to a release that does not say what is expected", function()
      local w = deployed()
      local run = w:run(recipe, {image = "mepc/app:1.1", expect = "version 9", confirm_max = "5s"})
      assert.are.equal("unhealthy", run.error.kind)
      assert.are.same({"docker.create app-1.1", "docker.start app-1.1", "docker.remove app-1.1"}, calls(run))
      serves(w, "1.0")
    end)
  end)

  describe("conflicts", function()
    it("leaves a container alone that has the name and is not its own", function()
      local w = deployed()
      w:fail("docker.create", {with = "conflict", message = 'Conflict. The container name "/app-1.1" is already in use'})
      local run = w:run(recipe, {image = "mepc/app:1.1"})
      assert.are.equal("conflict", run.error.kind)
      serves(w, "1.0")
    end)

    it("refuses a host that belongs to another application #real", function()
      local w = production{redis = {["frontend:appserver"] = {"shop", "http://10.0.0.9:8080"}}}
      local run = w:run(recipe, {image = "mepc/app:1.0"})
      assert.are.equal("conflict", run.error.kind)
      assert.matches('belongs to "shop"', run.error.message)
      assert.are.same({}, run.effects)
    end)
  end)

  describe("servers that are away", function()
    it("changes nothing when Redis is down", function()
      local w = deployed()
      w:redis_down(true)
      local run = w:run(recipe, {image = "mepc/app:1.1"})
      assert.are.equal("unavailable", run.error.kind)
      assert.are.same({}, calls(run))
      w:heal()
      serves(w, "1.0")
      assert.is_nil(w:run(recipe, {image = "mepc/app:1.1"}).error)
    end)

    it("changes nothing when the engine is down", function()
      local w = deployed()
      w:engine_down(true)
      local run = w:run(recipe, {image = "mepc/app:1.1"})
      assert.are.equal("unavailable", run.error.kind)
      assert.are.same({}, calls(run))
    end)

    it("takes the new release down when Redis goes away before the switch", function()
      local w = deployed()
      w:fail("redis.multi", {with = "unavailable", nth = 1})
      local run = w:run(recipe, {image = "mepc/app:1.1"})
      assert.are.equal("unavailable", run.error.kind)
      assert.are.same({"app-1.0"}, names(w))
      serves(w, "1.0")
    end)
  end)

  describe("lost replies", function()
    for _, op in ipairs{"docker.create", "docker.start", "docker.stop"} do
      it("goes on after that of " .. op, function()
        local w = deployed()
        w:lose_reply(op, {nth = 1})
        local run = w:run(recipe, {image = "mepc/app:1.1"})
        assert.is_nil(run.error)
        serves(w, "1.1")
        assert.are.same({"app-1.1"}, names(w, {all = false}))
      end)
    end

    it("leaves a host that answers after that of the switch", function()
      local w = deployed()
      w:lose_reply("redis.multi", {nth = 1})
      w:run(recipe, {image = "mepc/app:1.1"})
      assert.are.equal(200, w:get("http://appserver/").status)
      w:heal()
      assert.is_nil(w:run(recipe, {image = "mepc/app:1.1"}).error)
      serves(w, "1.1")
    end)
  end)

  describe("replicas", function()
    it("starts as many, and lists them all #real", function()
      local w = deployed()
      local run = w:run(recipe, {image = "mepc/app:1.1", replicas = 3})
      assert.is_nil(run.error)
      assert.are.equal(4, #w.redis:lrange("frontend:appserver", 0, -1))
      assert.are.equal(3, #w.docker:list{all = false})
    end)

    it("takes all of them down when one is not healthy", function()
      local w = deployed()
      local run = w:run(recipe, {image = "mepc/app:sick", replicas = 3})
      assert.are.equal("unhealthy", run.error.kind)
      assert.are.same({"app-1.0"}, names(w))
    end)
  end)

  describe("parameters", function()
    local w
    before_each(function() w = production() end)

    it("wants an image", function()
      local run = w:run(recipe)
      assert.are.equal("invalid_argument", run.error.kind)
      assert.matches("parameter image is missing", run.error.message)
    end)

    it("refuses what it does not know", function()
      local run = w:run(recipe, {image = "mepc/app:1.0", replica = 2})
      assert.matches('did you mean "replicas"', run.error.message)
    end)

    it("refuses an image that is not there, before anything is done", function()
      local run = w:run(recipe, {image = "mepc/app:9"})
      assert.are.equal("not_found", run.error.kind)
      assert.are.same({}, run.effects)
    end)

    it("deploys another app to another host on another port", function()
      local run = w:run(recipe, {image = "mepc/app:1.0", app = "shop", host = "shop.example.com", port = 8080})
      assert.is_nil(run.error)
      assert.are.equal(200, w:get("http://shop.example.com/").status)
      assert.are.equal("shop", w.redis:lindex("frontend:shop.example.com", 0))
    end)
  end)

  describe("the machine", function()
    it("serves again after the engine was killed and the recipe run again", function()
      local w = deployed()
      w:restart_engine{shuffle = true}
      assert.is_nil(w:run(recipe, {image = "mepc/app:1.0"}).error)
      serves(w, "1.0")
    end)
  end)
end)

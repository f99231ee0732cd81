-- What no other spec comes to: with these every line of the recipes and of the library is
-- run, and every effect happens.
local production = require("worlds").production

local function deploy(w, version, more)
  local params = {image = "mepc/app:" .. version}
  for k, v in pairs(more or {}) do params[k] = v end
  return w:run("recipes/bluegreen.lua", params)
end

local function good(run)
  assert.is_nil(run.error)
  return run
end

-- What the library says by itself.
local function part(w, name) return w:run("spec/fixtures/parts.lua", {part = name}) end

describe("a part", function()
  for name, says in pairs{
    unpublished = "app%-1 does not publish port 8080",
    no_address = "app%-1 has no address",
    changed = "frontend:h was changed by someone else",
    to_nothing = "refused to leave frontend:h without a backend",
    traefik_cluster = "Traefik cannot read a Redis cluster",
    hosts_cluster = "cannot switch several hosts in one transaction",
    lock_lost = "the lock of app was lost",
    other_won = "touched",
    died_at_start = "was healthy, but stopped running",
    died_later = "died after the switch",
    gone_unmade = "is gone",
    dead_unmade = "app%-1 is dead",
    changed_meanwhile = "frontend:h was changed by someone else",
  } do
    it("refuses: " .. name, function()
      local run = part(world{}, name)
      assert.is_not_nil(run.error)
      assert.matches(says, run.error.message)
    end)
  end

  for name, says in pairs{
    other_was_faster = "did not", taken_down = "app-1 does not exist", someone_elses = "app-1 belongs to someone else",
    still_pointed_to = "app-1 is left running: h points to it", dead = "remove create start", pointed_to = "app-9 is left running: h points to it", marked_dead = "a router could not reach http://10.0.0.2:8080",
  } do
    it("tells: " .. name, function() assert.are.equal(says, good(part(world{}, name)).value) end)
  end

  it("takes a redirect and a refusal for no answer", function()
    local w = production{images = {{ref = "mepc/app:1.0", expose = {"8080"}, behaviour = {
      paths = {["/moved"] = {status = 302}, ["/bad"] = {status = 500, body = "no"}}}}}}
    good(deploy(w, "1.0", {host = "h", app = "app"}))
    assert.matches("a redirect to nowhere", part(w, "redirected").error.message)
    assert.matches("status 500: no", part(w, "refused").error.message)
  end)

  it("warns of what is not confirmed, and of what is cut off", function()
    local w = world{}
    assert.matches("no router is named", good(part(w, "unconfirmed")).logs[1])
    w:answer("http://127.0.0.1:9/*", {
      body = '{"source":"redis","backends":[{"url":"http://10.0.0.1:8080","in_flight":1,"listed":true}]}',
      headers = {["Content-Type"] = "application/json"}})
    local run = good(part(w, "drained"))
    assert.matches("it still lists an old backend", run.value)
    assert.matches("they are cut off", run.logs[1])
  end)
end)

describe("a router", function()
  it("that does not answer is told before anything is done", function()
    local w = production()
    w:fail("http.get", {nth = 1, with = "unavailable"})
    local run = deploy(w, "1.0")
    assert.matches("the router .* does not answer", run.error.message)
    assert.are.same({}, run.effects)
  end)

  it("that has no admin server is told before anything is done", function()
    local w = production()
    good(deploy(w, "1.0"))
    w:answer("http://127.0.0.1:9/*", {status = 500})
    local run = deploy(w, "1.1", {admin = "http://127.0.0.1:9"})
    assert.matches("no router's admin server answers", run.error.message)
  end)
end)

describe("what was left by others", function()
  local other = {name = "other", image = "mepc/app:1.0", networks = {{network = "bridge", ip = "172.17.0.9"}}}

  it("is forgotten when the backend comes: a mark of the dead, a mark of the bad", function()
    local w = production()
    good(deploy(w, "1.0"))
    w:advance("1m")
    good(deploy(w, "1.1"))
    good(w:run("recipes/rollback.lua", {reason = "slow"})) -- 1.1 is bad
    assert.are.equal(1, w.redis:hlen("mepc:bad:app"))
    w:advance("1m")
    good(deploy(w, "1.1"))
    assert.are.equal(0, w.redis:hlen("mepc:bad:app"))
    w.redis:sadd("dead:appserver", "0")
    good(w:run("recipes/reconcile.lua", {app = "app"}))
    assert.are.equal(0, w.redis:exists("dead:appserver"))
  end)

  it("is refused: the name of a job", function()
    local w = production()
    local run = w:run("recipes/migrate.lua", {image = "mepc/app:1.0", command = "/app,migrate"})
    local job
    for _, e in ipairs(run.effects) do
      if e.op == "docker.create" and e.target:match("%-migrate$") then job = e.target end
    end
    w = production()
    w.docker:create{name = job, image = "mepc/app:1.0"}
    assert.matches("exists and does not belong to this release", w:run("recipes/migrate.lua", {image = "mepc/app:1.0", command = "/app,migrate"}).error.message)
  end)

  it("is told: a backend of no release", function()
    local w = production{containers = {other}, redis = {["frontend:appserver"] = {"app", "http://172.17.0.9:8080"}}}
    local run = good(deploy(w, "1.0"))
    assert.matches("it is not a release of app: it is left running", table.concat(run.logs, "\n"))
  end)

  it("is removed: the image of a container whose tag moved on", function()
    local w = production()
    for _, v in ipairs{"1.0", "1.1"} do
      good(deploy(w, v, {keep = 9, retain = 9}))
      w:advance("1m")
    end
    local old = w.docker:image("mepc/app:1.0").id
    w.docker:tag("mepc/app:slow", "mepc/app:1.0")
    good(w:run("recipes/prune.lua", {keep = 0, retain = 1}))
    assert.is_nil(w.docker:image(old))
  end)

  it("is told: a release without its image", function()
    local w = production{
      containers = {{name = "app-old", image = "mepc/app:1.0", networks = {{network = "bridge", ip = "172.17.0.2"}},
        labels = {["mepc.app"] = "app", ["mepc.release"] = "old", ["mepc.replica"] = "1", ["mepc.port"] = "8080"}}},
      redis = {["frontend:appserver"] = {"app", "http://172.17.0.2:8080"}},
    }
    assert.matches("has no label mepc.image", w:run("recipes/prune.lua").error.message)
  end)

  -- A container of a release, at an address.
  local function of(name, ip, image, status)
    return {name = name, image = image or "mepc/app:1.0", status = status, restart = "always", networks = {{network = "bridge", ip = ip}},
      labels = {["mepc.app"] = "app", ["mepc.release"] = name, ["mepc.replica"] = "1", ["mepc.port"] = "8080", ["mepc.image"] = "mepc/app:1.0"}}
  end

  it("is refused: releases of which either may serve", function()
    local w = production{containers = {other, of("app-a", "172.17.0.2"), of("app-b", "172.17.0.3")}, redis = {["frontend:www"] = {"app", "http://172.17.0.9:8080"}}}
    assert.matches("containers of 2 releases are in service", w:run("recipes/reconcile.lua", {app = "app"}).error.message)
  end)

  it("is refused: a container that does not answer", function()
    local w = production{containers = {other, of("app-a", "172.17.0.2", "mepc/app:slow")}, redis = {["frontend:www"] = {"app", "http://172.17.0.9:8080"}}}
    assert.matches("nothing answers at", w:run("recipes/reconcile.lua", {app = "app"}).error.message)
  end)

  it("is chosen by its name, of two that ended together", function()
    local w = production{
      containers = {of("app-b", "172.17.0.3", nil, "exited"), of("app-a", "172.17.0.2", nil, "exited"), of("app-c", "172.17.0.4")},
      redis = {["frontend:appserver"] = {"app", "http://172.17.0.4:8080"}},
    }
    good(w:run("recipes/rollback.lua"))
    assert.is_true(w.docker:inspect("app-a").state.running)
  end)
end)

describe("parameters", function()
  it("that name no secret are refused", function()
    assert.matches("is not NAME=secret", deploy(production(), "1.0", {secrets = {"password"}}).error.message)
  end)

  it("that name a secret that nobody has are refused", function()
    assert.is_not_nil(deploy(production(), "1.0", {secrets = {"DB_PASSWORD=db"}}).error)
  end)

  it("that link to what is not there are refused", function()
    assert.matches("the container db to link to does not exist", deploy(production(), "1.0", {links = {"db"}}).error.message)
  end)

  it("link to the container that is there", function()
    local w = production()
    w.docker:create{name = "db", image = "mepc/app:1.0"}
    w.docker:start("db")
    good(deploy(w, "1.0", {links = {"db:database"}}))
    assert.are.equal(200, w:get("http://appserver/").status)
  end)
end)

describe("a container of the release", function()
  local function named(w) return w.docker:list{labels = {["mepc.app"] = "app"}, all = true}[1].name end

  it("that is paused is left alone", function()
    local w = production()
    good(deploy(w, "1.0"))
    w.docker:pause(named(w))
    assert.matches("is paused", deploy(w, "1.0").error.message)
  end)

  it("is the younger, of two that are the same replica and do not run", function()
    local w = production()
    good(deploy(w, "1.0"))
    local c = w.docker:inspect(named(w))
    w.docker:create{name = "another", image = "mepc/app:1.0", labels = c.labels}
    w.docker:stop(c.name)
    for _, e in ipairs(good(deploy(w, "1.0")).effects) do assert.are_not.equal("docker.create", e.op) end
  end)

  it("is not stopped when that fails, and the next run does it", function()
    local w = production()
    good(deploy(w, "1.0"))
    w:advance("1m")
    w:fail("docker.stop", {with = "refused"})
    local run = deploy(w, "1.1")
    assert.is_not_nil(run.error)
    w:heal()
    good(deploy(w, "1.1"))
    assert.are.equal(1, #w.docker:list{labels = {["mepc.app"] = "app"}, all = false})
  end)

  it("gets its restart policy back", function()
    local w = production()
    good(deploy(w, "1.0"))
    w.docker:update(named(w), {restart = "no"})
    good(deploy(w, "1.0"))
    assert.are.equal("always", w.docker:inspect(named(w)).restart)
  end)
end)

describe("the talk's colour", function()
  it("is removed when it has no traffic", function()
    local w = world{images = {{ref = "mepc/db:1.0", expose = {"5432"}}}, containers = {{name = "db", image = "mepc/db:1.0"}}, routers = {"127.0.0.1:8080"}}
    local function talk(version, color)
      return good(w:run("recipes/talk.lua", {context = "spec/fixtures/app", version = version, color = color}))
    end
    talk("1.0", "blue")
    talk("1.1", "green")
    local run = talk("1.2", "blue")
    local removed
    for _, e in ipairs(run.effects) do removed = removed or e.op == "docker.remove" and e.target end
    assert.are.equal("app-blue", removed)
  end)
end)

describe("a canary that is asked of Prometheus", function()
  local url = "https://prometheus.example/api/v1/query"

  local function canary(answer, more)
    local w = production()
    good(deploy(w, "1.0"))
    w:advance("1m")
    w:answer(url, answer)
    local params = {image = "mepc/app:1.1", steps = "50", bake = "1s", hold_max = "2s", prometheus = "https://prometheus.example/", query = "errors", query_max = 1}
    for k, v in pairs(more or {}) do params[k] = v end
    return w:run("recipes/canary.lua", params)
  end

  local function number(n) return {body = '{"data":{"result":[{"value":[0,"' .. n .. '"]}]}}', headers = {["Content-Type"] = "application/json"}} end

  it("goes on with a good number", function() good(canary(number("0.5"))) end)
  it("goes back with a bad one", function() assert.matches("the query says 3", canary(number("3")).error.message) end)
  it("holds without an answer", function() assert.matches("status 503", canary{status = 503, body = "{}"}.error.message) end)
  it("holds when it cannot be reached", function() assert.is_not_nil(canary(number("1"), {prometheus = "https://nowhere.example"}).error) end)
  it("holds without one number", function()
    assert.matches("gives 0 numbers", canary{body = '{"data":{"result":[]}}', headers = {["Content-Type"] = "application/json"}}.error.message)
  end)
end)

describe("recreate", function()
  it("does nothing the second time", function()
    local w = production()
    good(w:run("recipes/recreate.lua", {image = "mepc/app:1.0"}))
    assert.are.same({}, good(w:run("recipes/recreate.lua", {image = "mepc/app:1.0"})).effects)
  end)
end)

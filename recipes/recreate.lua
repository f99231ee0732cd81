-- Stops the old release of an app, then starts the new one: for apps that may run only
-- once, such as those that write to files of their own. In between, nothing serves the host.
--
-- A guard refuses to stop containers that have traffic: the operator lifts it with
-- --allow routed-containers. The length of the gap is logged and kept in the journal. If
-- the new release is not healthy it is taken down, and the old one is started again.
local deployment = require("lib.deployment")
local release = require("lib.release")

local p = params(deployment.params())
local d = deployment.open(p)
if d.settled then return d:start() end
local node, stopped, began = d.nodes[1], {}, nil

-- The app's running containers that do not belong to the new release, each once.
local function old()
  return release.retired(node.engine, node.release, p.replicas).running
end

d:take_down_on_failure()
if #old() > 0 then
  d:undo("start the old release again", function()
    node:take_down({}, false) -- only one may run
    node:start_again(stopped)
    d:rehome()
    d.route:back(function() return true end)
    return #stopped .. " old containers were started again; " .. d.route:text()
  end)
  step("stop the old release", function()
    began = now()
    for _, c in ipairs(old()) do
      stopped[#stopped + 1] = node.engine:inspect(c.id)
      release.retire(node.engine, c)
    end
  end)
end
d:start()
d:switch()
d:confirm()
if began then log(("nothing served %s for %.1f s"):format(d.route.name, now() - began)) end
d:finish()

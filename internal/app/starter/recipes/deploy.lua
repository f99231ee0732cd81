-- Deploys the application: a new release beside the running one, then the traffic.
-- Whatever fails, traffic goes back first and the new containers are removed.
local deployment = require("lib.deployment")

-- What every deployment takes, and what this one adds.
local p = params(deployment.params{
  announce = {type = "boolean", default = true, doc = "log a line before and after the switch"},
})

local function say(text)
  if p.announce then log(text) end
end

local d = deployment.open(p)
d:start()
if d.settled then return end -- everything is as wanted, and healthy
say("switching " .. d.route.name .. " to " .. p.image)
d:switch()
d:confirm()
d:finish()
say(d.route.name .. " runs " .. p.image)

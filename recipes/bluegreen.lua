-- Deploys an image beside the running one and moves the traffic of a host to it.
--
-- Start the new release, check its health directly, switch the routing list in
-- Redis, confirm through the routers, wait until the old release's requests are
-- over, stop it. Whatever fails, traffic goes back first. The first deploy
-- registers the host; a second run with the same image has no effect; a run that
-- was cut off is completed by running it again.
local deployment = require("lib.deployment")

local d = deployment.open(params(deployment.params()))
d:start()
if d.settled then return end -- all is as wanted, and was found healthy
d:switch()
d:confirm()
d:finish()

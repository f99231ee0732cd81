-- Deploys an image beside the running one and moves the traffic of a host to it.
--
-- Start the new release, check its health directly, switch the routing list in
-- Redis, confirm through the routers, wait until the old release's requests have
-- ended, stop it. If anything fails, traffic goes back first. The first deploy
-- registers the host. A second run with the same image changes nothing. Run it
-- again to complete an interrupted run.
local deployment = require("lib.deployment")

local d = deployment.open(params(deployment.params()))
d:start()
if d.settled then return end -- everything is as wanted, and healthy
d:switch()
d:confirm()
d:finish()

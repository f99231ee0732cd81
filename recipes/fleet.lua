-- Deploys an image to several engines, and moves the traffic of a host to all of
-- them at once.
--
-- Ship the image to the engines that lack it, start the new release on each and
-- wait until every container is healthy. Then switch the routing list to all of
-- them at once. If one engine fails before the switch, the deployment fails and
-- the old release keeps all traffic. Confirm, drain, and stop the old release
-- everywhere. If anything fails after the switch, one more switch sends all
-- traffic back.
local deployment = require("lib.deployment")

local declared = deployment.params{
  engines  = {type = "list", required = true, doc = "the engines, each with the address that routers reach it by: ssh://deploy@10.0.0.11=10.0.0.11"},
  limit    = {type = "integer", default = 8, min = 1, max = 100, doc = "how many engines to work on at a time"},
  compress = {type = "enum", values = {"auto", "none", "gzip", "zstd"}, default = "auto", doc = "how images are compressed on the way"},
}
declared.advertise = nil -- each engine has its own
local p = params(declared)
local source = docker.connect()

local d = deployment.open(p, {source = source})
if not d.settled then d:ship(source) end
d:start()
if d.settled then return end -- everything is as wanted, and healthy
d:switch()
d:confirm()
d:finish()
d:tell()

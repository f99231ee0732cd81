-- Runs a one-off command of the new image, such as a database migration, before
-- the cut-over; then deploys as bluegreen does.
--
-- The command gets the release's environment, links and network. It runs once for
-- each release: once it has succeeded, later runs skip it. If it fails, nothing
-- else has been started. It must leave the database usable by the old release,
-- which serves until the switch.
local deployment = require("lib.deployment")
local job = require("lib.job")

local p = params(deployment.params{
  command = {type = "list", required = true, doc = "what to run, such as /app,migrate"},
  command_max = {type = "duration", default = "10m", doc = "how long it may take"},
})
local command = p.command
p.command = nil -- the release keeps its own
local d = deployment.open(p)
if not d.settled then
  step("run " .. table.concat(command, " "), function()
    job.run(d.nodes[1].engine, d.nodes[1].release, "migrate", command, p.command_max)
  end)
end
d:start()
if d.settled then return end
d:switch()
d:confirm()
d:finish()

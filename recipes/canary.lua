-- Deploys an image to a growing share of a host's traffic, and rolls back by
-- itself when the new release does worse.
--
-- Start the new release beside the old one. At each step give it that share of
-- the routing list and watch it for a while: errors and latency as mepc-run
-- router counts them (admin=), and a Prometheus query. A bad verdict sends all
-- traffic back, takes the release down and marks it bad. After the last step
-- the deployment ends as bluegreen does.
local deployment = require("lib.deployment")
local split = require("lib.split")
local verdict = require("lib.verdict")

local declared = deployment.params(verdict.params)
declared.steps = {type = "list", default = {"10", "25", "50"}, doc = "percentages of the traffic, one for each step"}
local p = params(declared)
local steps = split.steps(p.steps) -- refuse wrong steps before anything is done

local d = deployment.open(p)
d:start()
if d.settled then return end

for _, percent in ipairs(#d.old > 0 and steps or {}) do
  local watch = verdict.begin(p, d.store, d.old, d.to)
  d:share(percent)
  step("watch it", function()
    local seen, err = try(verdict.bake, watch, function() d:alive() end)
    if err and err.kind == "unhealthy" then d:mark_bad(err.message) end
    if err then error(err) end
    log(seen)
  end)
end
d:switch()
d:confirm()
d:finish()

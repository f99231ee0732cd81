-- Deploys an image to a growing share of a host's traffic, and takes it back by
-- itself when the new release does worse.
--
-- Start the new release beside the old one; for each of steps give it that share
-- of the routing list and watch it for a while: errors and latency as mepc-run
-- router counts them (admin=), and a Prometheus query. A bad verdict sends all
-- traffic back, takes the release down and marks it bad. After the last step
-- everything is as with bluegreen.
local deployment = require("lib.deployment")
local marks = require("lib.marks")
local split = require("lib.split")
local verdict = require("lib.verdict")

local declared = deployment.params(verdict.params)
declared.steps = {type = "list", default = {"10", "25", "50"}, doc = "percentages of the traffic, one step each"}
local p = params(declared)
split.plan({}, {}, p.steps) -- what is wrong with them is said before anything is done

local d = deployment.open(p)
d:start()
if d.settled then return end

for _, stage in ipairs(split.plan(d.old, d.to, p.steps)) do
  local watch = verdict.begin(p, d.store, d.old, d.to)
  d:switch(stage.urls, "send " .. stage.percent .. " % of " .. p.host .. " to " .. d.new.name)
  step("watch it", function()
    local seen, err = try(verdict.bake, watch, function() d:alive() end)
    if err and err.kind == "unhealthy" then marks.bad(d.store, d.new, err.message) end
    if err then error(err) end
    log(seen)
  end)
end
d:switch()
d:confirm()
d:finish()

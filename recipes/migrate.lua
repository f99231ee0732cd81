-- Runs a one-off command of the new image, such as a database migration, before
-- the cut-over; then deploys as bluegreen does.
--
-- The command gets the release's environment, links and network. It runs once for
-- each release: when it has ended well, a further run does not repeat it. When it
-- fails nothing else was begun. It must leave the database fit for the old
-- release, which serves on until the switch.
local deployment = require("lib.deployment")
local release = require("lib.release")

local p = params(deployment.params{
  command = {type = "list", required = true, doc = "what to run, such as /app,migrate"},
  command_max = {type = "duration", default = "10m", doc = "how long it may take"},
})
local d = deployment.open(p)
local job = d.new.name .. "-migrate"

local function migrate()
  local c = d.engine:find(job)
  if c and c.labels["mepc.release"] ~= d.new.id then
    fail("a container named " .. job .. " is there and is not ours", {kind = "conflict", hint = "docker rm it, then run again"})
  elseif c and c.state.status == "exited" and c.state.exit_code == 0 then
    return log(job .. " has run before")
  elseif c and not c.state.running then
    d.engine:remove(job, {missing_ok = true}) -- it failed, or was never started
    c = nil
  end
  local stop = defer("stop " .. job, function() -- what it did in the database stays
    d.engine:stop(job)
    return job .. " was stopped: look what it did"
  end)
  if not c then
    release.create_job(d.engine, job, d.new, p.command)
    d.engine:start(job)
  end
  local code = d.engine:wait(job, {timeout = p.command_max})
  stop:cancel()
  if code ~= 0 then
    log.error(d.engine:logs(job, {tail = 20}))
    fail(table.concat(p.command, " ") .. " ended with exit code " .. code, {
      kind = "unhealthy", hint = "docker logs " .. job .. "; the old release serves on. Run again when it is mended"})
  end
end

if not d.settled then step("run " .. table.concat(p.command, " "), migrate) end
d:start()
if d.settled then return end
d:switch()
d:confirm()
d:finish()

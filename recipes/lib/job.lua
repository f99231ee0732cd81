-- A command that runs once for a release, in a container of its image.
local release = require("lib.release")
local M = {}

-- Runs `command` to its end, within `most` seconds, in a container named after the release
-- and `what`. One that has succeeded before is not run again.
function M.run(engine, r, what, command, most)
  local name = r.name .. "-" .. what
  local c = engine:find(name)
  if c and c.labels["mepc.release"] ~= r.id then
    fail("a container named " .. name .. " exists and does not belong to this release", {kind = "conflict", hint = "remove it with docker rm, then run again"})
  elseif c and c.state.status == "exited" and c.state.exit_code == 0 then
    return log(name .. " has run before")
  elseif c and not c.state.running then
    engine:remove(name, {missing_ok = true}) -- it failed, or was never started
    c = nil
  end
  local stop = defer("stop " .. name, function() -- its changes to the database stay
    local left = engine:find(name)
    if not left then return name .. " does not exist" end
    if left.state.status == "created" then
      engine:remove(name, {missing_ok = true})
      return name .. " was removed: it had not begun"
    end
    engine:stop(name)
    return name .. " was stopped: check what it did"
  end)
  if not c then
    release.create_job(engine, name, r, command)
    engine:start(name)
  end
  local code = engine:wait(name, {timeout = most})
  stop:cancel()
  if code ~= 0 then
    log.error(engine:logs(name, {tail = 20}))
    fail(table.concat(command, " ") .. " ended with exit code " .. code, {
      kind = "unhealthy", hint = "docker logs " .. name .. "; the old release still serves. Fix the command, then run again"})
  end
end

return M

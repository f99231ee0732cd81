-- Releases that turned out bad, and why: a hash mepc:bad:<app> in Redis, by the
-- release's id. A canary marks a release that it withdraws, rollback the one that
-- it is told to leave; no rollback returns to a marked one. Deploying a release
-- successfully removes its mark.
local M = {}

local function key(app) return "mepc:bad:" .. app end

-- Marks the release. If that fails it only warns: something else is more urgent.
function M.bad(r, release, reason)
  local _, err = try(r.hset, r, key(release.app), release.id, release.name .. ": " .. reason)
  if err then log.warn(release.name .. " could not be marked as bad: " .. err.message) end
end

-- Returns why the release is bad, or nil.
function M.why(r, app, id) return r:hget(key(app), id) end

function M.clear(r, release)
  if M.why(r, release.app, release.id) then r:hdel(key(release.app), release.id) end
end

return M

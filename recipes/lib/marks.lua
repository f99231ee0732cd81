-- Releases that turned out bad, and why: a hash mepc:bad:<app> in Redis, by the
-- release's id. A canary marks what it takes back, rollback what it is told to
-- leave; a rollback never leads to one. A release that is deployed to its end is
-- not bad any more.
local M = {}

local function key(app) return "mepc:bad:" .. app end

-- Marks the release. That it cannot be marked is said, and no error: there is
-- something more urgent to do.
function M.bad(r, release, reason)
  local _, err = try(r.hset, r, key(release.app), release.id, release.name .. ": " .. reason)
  if err then log.warn(release.name .. " could not be marked as bad: " .. err.message) end
end

-- Why the release is bad, or nil.
function M.why(r, app, id) return r:hget(key(app), id) end

function M.clear(r, release)
  if M.why(r, release.app, release.id) then r:hdel(key(release.app), release.id) end
end

return M

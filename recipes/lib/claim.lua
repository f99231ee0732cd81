-- Who deploys an app. A run claims it before it starts anything; the last to
-- claim it has it, and an earlier run that is still under way is told so at its
-- switch, which checks the claim in the same transaction. So a container that
-- was there before a look at the claim, and is in no list after it, will not get
-- traffic any more from a run that began earlier: it may be stopped.
-- Two runs that deploy the same release share a claim, and do each other no harm.
local M = {}

local day = 24 * 60 * 60 -- longer than any deployment; then the key goes by itself

-- The claim of `app` for `release`, in words. Nothing is claimed yet.
function M.of(app, release)
  return {key = "mepc:deploying:" .. app, release = release, app = app}
end

function M.take(r, claim)
  if r:get(claim.key) ~= claim.release then r:set(claim.key, claim.release, "EX", day) end
end

function M.held(r, claim) return r:get(claim.key) == claim.release end

-- Raises conflict when someone else has claimed the app since. `r` is a redis
-- connection, or the transaction of r:watch.
function M.check(r, claim)
  local now = r:get(claim.key)
  if now == claim.release then return end
  fail(claim.release .. " is not deployed: " .. (now and now .. " is, by someone who began later" or claim.key .. " is gone"), {
    kind = "conflict", hint = "wait until that is done, then run again if " .. claim.release .. " is still wanted"})
end

return M

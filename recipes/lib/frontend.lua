-- The routing list of one host, as Hipache, planb and mepc-run router read it:
-- frontend:<host> is a list of an identifier and then the backends' URLs; a URL
-- that stands twice gets twice the traffic. dead:<host> is a set of positions in
-- that list that a router found dead. Any edit moves positions, so every edit
-- here deletes that set in the same transaction.
local traefik = require("lib.traefik")
local M = {}

function M.key(host) return "frontend:" .. host:lower() end
function M.dead_key(host) return "dead:" .. host:lower() end

-- The list as {id=..., urls={...}}, or nil when there is none. `r` is a redis
-- connection, or the transaction of r:watch.
function M.read(r, host)
  local list = r:lrange(M.key(host), 0, -1)
  if #list == 0 then return nil end
  return {id = list[1], urls = {unpack(list, 2)}}
end

-- Every backend of every host: a list of {host=..., url=...}.
function M.all(r)
  local keys = {}
  for _, server in ipairs(r:clustered() and r:masters() or {r}) do
    local cursor = "0"
    repeat
      local page = server:scan(cursor, "MATCH", "frontend:*", "COUNT", 1000)
      cursor = tostring(page[1])
      for _, key in ipairs(page[2]) do keys[key] = true end
    until cursor == "0"
  end
  local found = {}
  for key in pairs(keys) do
    if r:type(key) == "list" then -- others are not a router's
      local list = r:lrange(key, 1, -1)
      for _, url in ipairs(list) do found[#found + 1] = {host = key:sub(10), url = url} end
    end
  end
  return found
end

function M.lists(urls, url)
  for _, u in ipairs(urls) do
    if u == url then return true end
  end
  return false
end

-- Whether two lists are equal, item by item.
function M.equal(a, b) return #a == #b and table.concat(a, "\n") == table.concat(b, "\n") end

-- Whether two lists name the same backends. Order means nothing to a router,
-- and how often one is listed is its weight, which is the operator's.
function M.same(a, b)
  for _, url in ipairs(a) do
    if not M.lists(b, url) then return false end
  end
  for _, url in ipairs(b) do
    if not M.lists(a, url) then return false end
  end
  return true
end

-- One line for logs and errors: "http://10.0.0.2:8080 x2, http://10.0.0.3:8080".
function M.text(urls)
  if #urls == 0 then return "nothing" end
  local times, order = {}, {}
  for _, u in ipairs(urls) do
    if not times[u] then order[#order + 1] = u end
    times[u] = (times[u] or 0) + 1
  end
  for i, u in ipairs(order) do
    if times[u] > 1 then order[i] = u .. " x" .. times[u] end
  end
  return table.concat(order, ", ")
end

local function changed(host, urls, from)
  fail(M.key(host) .. " was changed by someone else: it points to " .. M.text(urls) .. " where " .. M.text(from) .. " was expected",
    {kind = "conflict", hint = "look who else deploys " .. host .. ", then run again"})
end

-- Raises conflict unless the list still names the backends `from`. Equal addresses
-- are no proof that nothing is to be done: that of a container which someone else
-- stopped meanwhile may be our new one's.
function M.check(r, host, from)
  local now = M.read(r, host)
  if not M.same(now and now.urls or {}, from) then changed(host, now and now.urls or {}, from) end
end

-- Sends the traffic of `host` from the backends `from` to the backends `to`, if
-- the list still is `from` ({} when there is none yet) and the lock `mine` is still
-- the last one; raises conflict otherwise. The new backends go in after the
-- identifier (LINSERT), then the old ones are cut off (LTRIM): the talk's two
-- commands, in a transaction that fails when anyone touched the list meanwhile.
-- `mine` is what lock() returned, or nil to switch whoever has it: to take traffic
-- back. A run that slept while another one took the lock is refused by Redis.
-- With the dialect "traefik" Traefik's keys follow the list in the same transaction.
-- In a cluster the list is a transaction of its own: the lock is looked at just before
-- it, and what routers found dead is deleted just behind it.
-- Returns whether this call did it: another run may have sent it there before.
function M.switch(r, host, id, from, to, mine, dialect)
  local key = M.key(host)
  if #to == 0 then fail("refusing to leave " .. key .. " without a backend") end
  local cluster = r:clustered()
  if cluster and dialect == "traefik" then
    fail("Traefik reads no cluster of Redis", {kind = "invalid_argument", hint = "give it a single server, or one with sentinels"})
  end
  if dialect == "traefik" then traefik.prepare(r, host, to) end
  local function owned(reader)
    if mine and reader:get(mine.fence) ~= mine.token then
      fail(mine.app .. " is someone else's to deploy: the lock was lost", {
        kind = "conflict", hint = "mepc-run lock status " .. mine.app .. " tells whose it is; run again when that is done"})
    end
  end
  if cluster then owned(r) end
  local done, err = try(r.watch, r, {key, mine and not cluster and mine.fence or key}, function(tx)
    if not cluster then owned(tx) end
    local now = M.read(tx, host)
    local urls = now and now.urls or {}
    if M.equal(urls, to) then return M.follow(tx, host, to, dialect) end
    if not M.equal(urls, from) then changed(host, urls, from) end
    local replies = tx:multi(function(m)
      if not now then
        m:rpush(key, id, to)
      else
        for i = #to, 1, -1 do m:linsert(key, "AFTER", now.id, to[i]) end
        m:ltrim(key, 0, #to)
      end
      if not cluster then m:del(M.dead_key(host)) end
      if dialect == "traefik" then traefik.point(m, host, to) end
    end)
    for i = 1, now and #to or 0 do -- LINSERT answers 0 without a list, -1 without its pivot
      if replies[i] < 1 then fail("LINSERT " .. key .. " AFTER " .. now.id .. " answered " .. replies[i]) end
    end
    return true
  end)
  if err and (err.kind == "unknown" or err.kind == "conflict") then -- no answer, or another was faster: the list tells
    local now = M.read(r, host)
    if now and M.equal(now.urls, to) then done, err = err.kind == "unknown", nil end
  end
  if err then error(err) end
  if cluster then M.revive(r, host) end
  return done
end

-- Whether all that routers read leads to the list `urls`, where it is that.
function M.followed(r, host, urls, dialect) return dialect ~= "traefik" or traefik.points(r, host, urls) end

-- Lets Traefik's keys follow the list `urls`, which stays. Returns whether they did not.
-- `r` may be the transaction of r:watch.
function M.follow(r, host, urls, dialect)
  if M.followed(r, host, urls, dialect) then return false end
  r:multi(function(m) traefik.point(m, host, urls) end)
  return true
end

-- Removes what routers were told of earlier lists.
function M.tidy(r, host, dialect)
  if dialect == "traefik" then traefik.forget(r, host) end
end

-- Forgets which backends a router found dead: after an old backend is stopped, a
-- late dial to it may have marked a position that is the new one's now.
function M.revive(r, host)
  if r:exists(M.dead_key(host)) > 0 then r:del(M.dead_key(host)) end
end

return M

-- The routing list of one host, as Hipache, planb and mepc-run router read it:
-- frontend:<host> is a list: an identifier, then the backends' URLs. A URL that is
-- listed twice gets twice the traffic. dead:<host> is a set of positions in that
-- list that a router found dead. Any edit moves positions, so every edit here
-- deletes that set in the same transaction.
local names = require("lib.names")
local traefik = require("lib.traefik")
local M = {}

function M.key(host) return "frontend:" .. names.host(host) end
function M.dead_key(host) return "dead:" .. names.host(host) end

-- Returns the list as {id=..., urls={...}}, or nil when there is none. `r` is a redis
-- connection, or the transaction of r:watch.
function M.read(r, host)
  local list = r:lrange(M.key(host), 0, -1)
  if #list == 0 then return nil end
  return {id = list[1], urls = {unpack(list, 2)}}
end

-- Returns every backend of every host: a list of {host=..., url=...}.
function M.all(r)
  local found = {}
  for key, list in pairs(r:lists("frontend:*")) do
    for i = 2, #list do found[#found + 1] = {host = key:sub(10), url = list[i]} end
  end
  return found
end

function M.lists(urls, url)
  for _, u in ipairs(urls) do
    if u == url then return true end
  end
  return false
end

-- Reports whether two lists are equal, item by item.
function M.equal(a, b) return #a == #b and table.concat(a, "\n") == table.concat(b, "\n") end

-- Reports whether two lists name the same backends. Order means nothing to a router,
-- and how often one is listed is its weight, which belongs to the operator.
function M.same(a, b)
  for _, url in ipairs(a) do
    if not M.lists(b, url) then return false end
  end
  for _, url in ipairs(b) do
    if not M.lists(a, url) then return false end
  end
  return true
end

-- Returns one line for logs and errors: "http://10.0.0.2:8080 x2, http://10.0.0.3:8080".
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
  fail(M.key(host) .. " was changed by someone else: it points to " .. M.text(urls) .. ", not to " .. M.text(from),
    {kind = "conflict", hint = "see who else deploys " .. host .. ", then run again"})
end

-- Raises conflict unless the list still names the backends `from`. Equal addresses do not
-- prove that all is done: our new container may have got the address of one that someone
-- else stopped meanwhile.
function M.check(r, host, from)
  local now = M.read(r, host)
  if not M.same(now and now.urls or {}, from) then changed(host, now and now.urls or {}, from) end
end

-- Raises conflict when someone else has taken the lock `mine`.
local function owned(reader, mine)
  if mine and reader:get(mine.fence) ~= mine.token then
    fail("the lock of " .. mine.app .. " was lost: someone else may deploy it now", {
      kind = "conflict", hint = "see who holds it with mepc-run lock status " .. mine.app .. "; run again when it is released"})
  end
end

-- Returns the `moves` that are still to be made, according to `reader`. Raises conflict
-- when a list leads neither to a move's start nor to its end.
local function pending(reader, moves)
  local left, behind = {}, {}
  for _, m in ipairs(moves) do
    local now = M.read(reader, m.host)
    local urls = now and now.urls or {}
    if M.equal(urls, m.to) then
      if not M.followed(reader, m.host, m.to, m.dialect) then behind[#behind + 1] = m end
    elseif M.equal(urls, m.from) then
      left[#left + 1] = {move = m, id = now and now.id}
    else
      changed(m.host, urls, m.from)
    end
  end
  return left, behind
end

-- Makes the moves `todo` in one transaction, by the talk's two commands: the new
-- backends go in after the identifier (LINSERT), then the old ones are cut off (LTRIM).
-- LINSERT answers 0 without a list, -1 without its pivot.
local function transact(tx, todo, behind, cluster)
  local sent = {}
  local replies = tx:multi(function(m)
    local function queue(verb, key, ...)
      sent[#sent + 1] = {verb = verb, key = key}
      m[verb](m, key, ...)
    end
    for _, t in ipairs(todo) do
      local key, to = M.key(t.move.host), t.move.to
      for i = #to, 1, -1 do
        if t.id then queue("linsert", key, "AFTER", t.id, to[i]) end
      end
      if t.id then queue("ltrim", key, 0, #to) else queue("rpush", key, t.move.id, to) end
      if not cluster then queue("del", M.dead_key(t.move.host)) end
      if t.move.dialect == "traefik" then traefik.point(queue, t.move.host, to) end
    end
    for _, move in ipairs(behind) do traefik.point(queue, move.host, move.to) end
  end)
  for i, s in ipairs(sent) do
    if s.verb == "linsert" and replies[i] < 1 then fail("LINSERT " .. s.key .. " answered " .. replies[i]) end
  end
end

-- Checks moves before any server is asked.
local function check_moves(moves, cluster)
  for _, m in ipairs(moves) do
    if #m.to == 0 then fail("refused to leave " .. M.key(m.host) .. " without a backend") end
    if cluster and m.dialect == "traefik" then
      fail("Traefik cannot read a Redis cluster", {kind = "invalid_argument", hint = "use a single server, or one with sentinels"})
    end
  end
  if cluster and #moves > 1 then
    fail("a Redis cluster cannot switch several hosts in one transaction", {
      kind = "invalid_argument", hint = "deploy to one host at a time, or use a single server, or one with sentinels"})
  end
end

-- Makes `moves`, a list of {host, id, from, to, dialect}: sends the traffic of each host
-- from the backends `from` ({} when there is no list yet) to the backends `to`, all of
-- them in one transaction or none. Raises conflict when a list was changed meanwhile, or
-- when `mine` is not the latest lock: Redis refuses a run that slept while another one took
-- it. `mine` comes from lock(); with nil, as for undoing, the lock is not checked. With the
-- dialect "traefik", Traefik's keys follow the list in the same transaction. In a cluster
-- each list is a transaction of its own: the lock is checked just before it, and the marks
-- of dead backends are deleted just after it.
-- Reports whether this call did it: another run may have sent the traffic there before.
function M.switch(r, moves, mine)
  local cluster, keys = r:clustered(), {}
  check_moves(moves, cluster)
  for i, m in ipairs(moves) do
    keys[i] = M.key(m.host)
    if m.dialect == "traefik" then traefik.prepare(r, m.host, m.to) end
  end
  if mine and not cluster then keys[#keys + 1] = mine.fence end
  if cluster then owned(r, mine) end
  local done, err = try(r.watch, r, keys, function(tx)
    if not cluster then owned(tx, mine) end
    local todo, behind = pending(tx, moves)
    if #todo == 0 and #behind == 0 then return false end
    transact(tx, todo, behind, cluster)
    return #todo > 0
  end)
  if err and (err.kind == "unknown" or err.kind == "conflict") then -- no answer, or another was faster: the lists tell
    local there = true
    for _, m in ipairs(moves) do
      local now = M.read(r, m.host)
      there = there and now ~= nil and M.equal(now.urls, m.to)
    end
    if there then done, err = err.kind == "unknown", nil end
  end
  if err then error(err) end
  for _, m in ipairs(cluster and moves or {}) do M.revive(r, m.host) end
  return done
end

-- Returns the dialect of a host: the one asked for, or the one its keys tell. So a
-- dialect that was given once is found again.
function M.dialect(r, host, asked)
  if asked == "traefik" or not r:clustered() and traefik.knows(r, host) then return "traefik" end
  return "hipache"
end

-- Reports whether everything that routers read beside the list leads to `urls`.
function M.followed(r, host, urls, dialect) return dialect ~= "traefik" or traefik.points(r, host, urls) end

-- Removes what is left of earlier lists for routers.
function M.tidy(r, host, dialect)
  if dialect == "traefik" then traefik.forget(r, host) end
end

-- Forgets which backends a router found dead: after an old backend is stopped, a late
-- dial to it may have marked a position that now belongs to the new one.
function M.revive(r, host)
  if r:exists(M.dead_key(host)) > 0 then r:del(M.dead_key(host)) end
end

return M

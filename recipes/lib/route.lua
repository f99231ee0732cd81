-- The routing lists of a deployment's hosts. Each list has the backends that it had when
-- the run began (home), those that it has now (at), and those sent last (sent), which may
-- have arrived although the answer was lost. All hosts are switched in one transaction. A
-- failure leads each list from `sent` or `at` back to `home`.
local frontend = require("lib.frontend")
local names = require("lib.names")
local traefik = require("lib.traefik")
---@class route
---@field hosts string[] the hosts
---@field name string the hosts, in words
---@field id string the identifier of their lists
---@field lists table[] the lists: {host, dialect, home, at}
---@field sent table the backends last sent for each list; nil before the first switch
---@field changed boolean whether this run is known to have switched
local M = {}
M.__index = M

-- Reads the lists of p.host. `mine` is the app's lock.
---@return route
function M.open(store, p, mine)
  local id = names.identifier(p.identifier ~= "" and p.identifier or p.app)
  local lists, hosts, seen = {}, {}, {}
  for _, text in ipairs(p.host) do
    local host = names.host(text)
    if not seen[host] then hosts[#hosts + 1] = host end
    seen[host] = true
  end
  if #hosts == 0 then fail("no host is given", {kind = "invalid_argument", hint = "name the host whose traffic is switched: host=app.example.com"}) end
  for i, host in ipairs(hosts) do
    local list = frontend.read(store, host)
    if list and list.id ~= id then
      fail(frontend.key(host) .. " belongs to \"" .. list.id .. "\", not to \"" .. id .. "\"", {
        kind = "conflict", hint = "correct host=, or take over its traffic with identifier=" .. list.id})
    end
    local urls = list and list.urls or {}
    lists[i] = {host = host, dialect = frontend.dialect(store, host, p.dialect), home = urls, at = urls}
  end
  return setmetatable({store = store, id = id, mine = mine, lists = lists, hosts = hosts, name = table.concat(hosts, ", "), changed = false}, M)
end

-- Returns all backends that the lists had when the run began, each once.
function M:backends()
  local urls, seen = {}, {}
  for _, l in ipairs(self.lists) do
    for _, url in ipairs(l.home) do
      if not seen[url] then urls[#urls + 1] = url end
      seen[url] = true
    end
  end
  return urls
end

-- Returns what `to` makes of a list: `to` is backends, or a function of the list's current
-- and first ones.
local function target(to, list) return type(to) == "function" and to(list.at, list.home) or to end

-- Returns how many seconds may pass until every router knows of a switch, for routers that
-- do not read the list at each request.
function M:lag()
  for _, l in ipairs(self.lists) do
    if l.dialect == "traefik" then return traefik.lag end
  end
  return 0
end

-- Reports whether every list, and all that follows it, leads to `to`. Before the first
-- switch weights do not count: they belong to the operator.
function M:leads_to(to)
  for _, l in ipairs(self.lists) do
    local same = self.sent and frontend.equal or frontend.same
    if not same(l.at, target(to, l)) or not frontend.followed(self.store, l.host, l.at, l.dialect) then return false end
  end
  return true
end

-- Makes `moves` with frontend.switch, and notes the result.
function M:make(moves)
  local before = self.sent
  self.sent = {} -- noted first: the call may end early after it had its effect
  for i, m in ipairs(moves) do self.sent[i] = m.to end
  local _, err = try(frontend.switch, self.store, moves, self.mine)
  if err and err.kind == "conflict" then self.sent = before end
  if err then error(err) end
  for i, m in ipairs(moves) do self.lists[i].at = m.to end
  self.changed = true
end

-- Points the hosts to `to`, in a step of its own. Raises conflict when someone else changed
-- a list meanwhile.
function M:send(to, what)
  local moves = {}
  for i, l in ipairs(self.lists) do
    local urls = target(to, l)
    if not self.sent and frontend.same(l.at, urls) then urls = l.at end -- only Traefik's keys are behind
    moves[i] = {host = l.host, id = self.id, from = l.at, to = urls, dialect = l.dialect}
  end
  step(what or "switch " .. self.name, function()
    self:make(moves)
    for _, m in ipairs(moves) do log(m.host .. " points to " .. frontend.text(m.to)) end
  end)
end

-- Checks that the lists are as we know them, and clears marks of dead backends.
function M:check()
  for _, l in ipairs(self.lists) do frontend.check(self.store, l.host, l.at) end
  self:revive()
end

-- Clears the marks of backends that routers found dead.
function M:revive()
  for _, l in ipairs(self.lists) do frontend.revive(self.store, l.host) end
end

-- Removes what is left of earlier lists for routers.
function M:tidy()
  for _, l in ipairs(self.lists) do frontend.tidy(self.store, l.host, l.dialect) end
end

-- Changes where a failure leads: `change` gets a list's home and returns another. A home
-- that would have no backend stays unchanged.
function M:rehome(change)
  for _, l in ipairs(self.lists) do
    local urls = change(l.home)
    if #urls > 0 then l.home = urls end
  end
end

-- Leads every list home that no one else changed and for which `ready(home)` is true.
-- Returns the backends that lost their traffic by that.
function M:back(ready)
  local moves, left = {}, {}
  for i, l in ipairs(self.lists) do
    local now = frontend.read(self.store, l.host)
    local ours = now and (frontend.equal(now.urls, l.at) or self.sent and frontend.equal(now.urls, self.sent[i]))
    if ours and #l.home > 0 and not frontend.equal(now.urls, l.home) and ready(l.home) then
      moves[#moves + 1] = {host = l.host, id = self.id, from = now.urls, to = l.home, dialect = l.dialect}
      for _, url in ipairs(now.urls) do left[#left + 1] = url end
    end
  end
  if #moves > 0 then frontend.switch(self.store, moves, nil) end
  return left
end

-- Returns where the hosts point, in words.
function M:text()
  local lines = {}
  for i, l in ipairs(self.lists) do
    local now = frontend.read(self.store, l.host)
    lines[i] = l.host .. " points to " .. frontend.text(now and now.urls or {})
  end
  return table.concat(lines, "\n")
end

return M

-- The releases that served a host, newest first: a hash mepc:served:<app> in Redis, by
-- host. A rollback goes back along it, and the releases in it are kept on the engine. A
-- release on several engines has one name here.
local names = require("lib.names")
local M = {}

local function key(app) return "mepc:served:" .. app end

-- Returns the history of all hosts of an app: {host = {id, ...}}.
function M.all(r, app)
  local hosts = {}
  for host, text in pairs(r:hgetall(key(app))) do
    hosts[host] = {}
    for id in text:gmatch("%S+") do hosts[host][#hosts[host] + 1] = id end
  end
  return hosts
end

-- Returns the ids of the releases in `entries`, as a set.
function M.ids(entries, into)
  local ids = into or {}
  for _, entry in ipairs(entries or {}) do
    for id in entry:gmatch("[^+]+") do ids[id] = true end
  end
  return ids
end

-- Returns the releases that must stay on the engine, so that the hosts can return to `keep`
-- releases, and other hosts to theirs: {mine = ids of these hosts, all = those of every host}.
function M.kept(history, hosts, keep)
  local own, kept = {}, {mine = {}, all = {}}
  for _, host in ipairs(hosts) do own[names.host(host)] = true end
  for host, list in pairs(history) do
    local entries = own[host] and {unpack(list, 1, keep + 1)} or list
    M.ids(entries, kept.all)
    if own[host] then M.ids(entries, kept.mine) end
  end
  return kept
end

-- Reports whether `id` served the host last.
function M.is_last(history, host, id) return history[host] ~= nil and history[host][1] == id end

-- Notes that `id` serves the hosts from now on. `keep` releases before it are remembered;
-- all of them without `keep`.
function M.record(r, app, hosts, id, keep)
  local history = M.all(r, app)
  for _, host in ipairs(hosts) do
    local list = {id}
    for _, before in ipairs(history[host] or {}) do
      if before ~= id and (not keep or #list <= keep) then list[#list + 1] = before end
    end
    local text = table.concat(list, " ")
    if text ~= table.concat(history[host] or {}, " ") then r:hset(key(app), host, text) end
  end
end

return M

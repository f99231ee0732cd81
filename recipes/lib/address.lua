-- Where containers are reached, and which hosts' routing lists lead to them.
local M = {}

-- Where a router reaches the container: its own address, or, with
-- `advertise`, the engine's host and the published port.
function M.url(container, port, advertise)
  if advertise == "" then
    if container.ip == "" then fail(container.name .. " has no address: is it on a network?", {kind = "unhealthy"}) end
    return "http://" .. container.ip .. ":" .. port
  end
  for _, p in ipairs(container.ports) do
    if p.container == port and p.host then return "http://" .. advertise .. ":" .. p.host end
  end
  fail(container.name .. " does not publish port " .. port, {kind = "unhealthy"})
end

-- Everything that a routing list may call the container's `port`.
function M.urls(container, port)
  local list = {}
  for _, n in pairs(container.networks) do list[#list + 1] = "http://" .. n.ip .. ":" .. port end
  for _, p in ipairs(container.ports) do
    local host = container.labels["mepc.advertise"]
    if host == nil or host == "" then host = p.host_ip end
    if p.container == port then list[#list + 1] = "http://" .. host .. ":" .. p.host end
  end
  return list
end

-- Whether a router that dials `url` reaches the container: by an address that it
-- has, or by a port that it publishes.
function M.answers(container, url)
  local host, port = url:match("^%a+://([^/:]+):?(%d*)")
  if not host then return false end
  for _, n in pairs(container.networks) do
    if n.ip == host then return true end
  end
  for _, p in ipairs(container.ports) do
    if tostring(p.host) == port and (host == p.host_ip or host == container.labels["mepc.advertise"]) then return true end
  end
  return false
end

-- The hosts that point to the container, such as "appserver, www.example.com",
-- or nil. `pointing` is what frontend.all returns.
function M.hosts(container, pointing)
  local hosts, seen = {}, {}
  for _, p in ipairs(pointing) do
    if not seen[p.host] and M.answers(container, p.url) then
      seen[p.host] = true
      hosts[#hosts + 1] = p.host
    end
  end
  table.sort(hosts)
  return #hosts > 0 and table.concat(hosts, ", ") or nil
end

return M

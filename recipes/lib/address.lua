-- The addresses of containers, and the hosts whose routing lists lead to them. As in the
-- guards, addresses are read and written by net.
local M = {}

-- Returns the URL by which a router reaches the container: its own address or, with
-- `advertise`, that address and the published port.
function M.url(container, port, advertise)
  if advertise == "" then
    if container.ip == "" then fail(container.name .. " has no address: is it on a network?", {kind = "unhealthy"}) end
    return "http://" .. net.join(container.ip, port)
  end
  for _, p in ipairs(container.ports) do
    if p.container == port and p.host then return "http://" .. net.join(advertise, p.host) end
  end
  fail(container.name .. " does not publish port " .. port, {kind = "unhealthy"})
end

-- Returns every URL by which a routing list may name the container's `port`.
function M.urls(container, port)
  local list = {}
  for _, n in pairs(container.networks) do
    if n.ip ~= "" then list[#list + 1] = "http://" .. net.join(n.ip, port) end
    if n.ip6 ~= "" then list[#list + 1] = "http://" .. net.join(n.ip6, port) end
  end
  for _, p in ipairs(container.ports) do
    local host = container.labels["mepc.advertise"]
    if host == nil or host == "" then host = p.host_ip end
    if p.container == port then list[#list + 1] = "http://" .. net.join(host, p.host) end
  end
  return list
end

local function is(text, host)
  local a = text and text ~= "" and net.parse(text)
  return a and a.host == host or false
end

-- Reports whether a router that dials `url` reaches the container: by one of its
-- addresses, or by a port that it publishes.
function M.answers(container, url)
  local to = net.parse(url)
  if not to then return false end
  for _, n in pairs(container.networks) do
    if is(n.ip, to.host) or is(n.ip6, to.host) then return true end
  end
  for _, p in ipairs(container.ports) do
    if p.host == to.port and (is(p.host_ip, to.host) or is(container.labels["mepc.advertise"], to.host)) then return true end
  end
  return false
end

-- Returns the hosts that point to the container, such as "appserver, www.example.com",
-- or nil. `pointing` comes from frontend.all.
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

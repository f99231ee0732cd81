-- The keys of one host as Traefik's Redis provider reads them. The routing list of
-- lib.frontend stays what counts; these keys follow it, in the same transaction.
--
-- Traefik reads all its keys one after the other, so a service that is edited in
-- place can be seen half done. Here none is: each list has a service of its own,
-- called after its content, which is complete for a while before traffic/.../service
-- leads to it, by one SET.
local M = {}

local root = "traefik/http/"
local pause = "1s" -- longer than a reading takes that began before the service was complete

local function name(host) return (host:lower():gsub("[^%w%-]", "-")) end

-- The service of the backends `urls` for a host.
function M.service(host, urls) return name(host) .. "-" .. sha256(table.concat(urls, "\n")):sub(1, 8) end

function M.router_key(host, what) return root .. "routers/" .. name(host) .. "/" .. what end

-- The keys of the service of the backends `urls`: a list of {key, value}. One that is
-- listed twice has twice the weight: Traefik takes a URL once, and weighs services.
function M.keys(host, urls)
  local times, order, even = {}, {}, true
  for _, url in ipairs(urls) do
    if not times[url] then order[#order + 1] = url end
    times[url] = (times[url] or 0) + 1
  end
  for _, url in ipairs(order) do even = even and times[url] == times[order[1]] end
  local service, keys = M.service(host, urls), {}
  local function add(key, value) keys[#keys + 1] = {root .. "services/" .. service .. key, tostring(value)} end
  for i, url in ipairs(order) do
    if even then
      add("/loadbalancer/servers/" .. i - 1 .. "/url", url)
    else
      add("/weighted/services/" .. i - 1 .. "/name", service .. "-" .. i - 1)
      add("/weighted/services/" .. i - 1 .. "/weight", times[url])
      add("-" .. i - 1 .. "/loadbalancer/servers/0/url", url)
    end
  end
  return keys
end

-- Whether Traefik is told to send a host to `urls`.
function M.points(r, host, urls) return r:get(M.router_key(host, "service")) == M.service(host, urls) end

-- Writes the service of `urls`, to which nothing leads yet, and gives Traefik the time
-- to see all of it.
function M.prepare(r, host, urls)
  local keys = M.keys(host, urls)
  if r:get(keys[#keys][1]) == keys[#keys][2] then return end -- the last one that is written
  r:multi(function(m)
    for _, k in ipairs(keys) do m:set(k[1], k[2]) end
  end)
  sleep(pause)
end

-- Leads a host to the service of `urls`, in the transaction `m`.
function M.point(m, host, urls)
  m:set(M.router_key(host, "rule"), "Host(`" .. host:lower() .. "`)")
  m:set(M.router_key(host, "service"), M.service(host, urls))
end

-- Removes services of a host to which nothing leads any more.
function M.forget(r, host)
  local service = r:get(M.router_key(host, "service"))
  if not service then return end
  local gone, cursor = {}, "0"
  repeat
    local page = r:scan(cursor, "MATCH", root .. "services/" .. name(host) .. "-*", "COUNT", 1000)
    cursor = tostring(page[1])
    for _, key in ipairs(page[2]) do
      local of = key:sub(#root + #"services/" + 1):match("^(.-)/")
      local own = of and of:match("^" .. name(host):gsub("%-", "%%-") .. "%-(%x%x%x%x%x%x%x%x)$")
        or of and of:match("^" .. name(host):gsub("%-", "%%-") .. "%-(%x%x%x%x%x%x%x%x)%-%d+$")
      if own and name(host) .. "-" .. own ~= service then gone[#gone + 1] = key end
    end
  until cursor == "0"
  if #gone > 0 then r:del(gone) end
end

return M

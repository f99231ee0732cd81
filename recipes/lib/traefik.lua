-- The keys of one host as Traefik's Redis provider reads them. The routing list of
-- lib.frontend decides; these keys follow it, in the same transaction.
--
-- Traefik reads its keys one after the other, so it can see a service that is edited in
-- place half done. Services are therefore never edited: each list has a service of its
-- own, named after its content. It is complete for a while before one SET of
-- traffic/.../service leads to it.
local M = {}

local root = "traefik/http/"
local pause = "1s" -- longer than a read that began before the service was complete

local function name(host) return (host:lower():gsub("[^%w%-]", "-")) end

-- Returns the name of the service for a host's backends `urls`.
function M.service(host, urls) return name(host) .. "-" .. sha256(table.concat(urls, "\n")):sub(1, 8) end

function M.router_key(host, what) return root .. "routers/" .. name(host) .. "/" .. what end

-- Returns the keys of the service for the backends `urls`: a list of {key, value}. One that
-- is listed twice has twice the weight: Traefik takes a URL once, and weighs services.
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

-- How long Traefik may take to see a change: its documented providersThrottleDuration, plus
-- the time to read the keys.
M.lag = 2.5

-- Reports whether Traefik has keys for a host.
function M.knows(r, host) return r:exists(M.router_key(host, "service")) > 0 end

-- Reports whether Traefik's keys send a host to `urls`.
function M.points(r, host, urls) return r:get(M.router_key(host, "service")) == M.service(host, urls) end

-- Writes the service for `urls`, to which nothing leads yet, and gives Traefik time to see
-- all of it.
function M.prepare(r, host, urls)
  local keys = M.keys(host, urls)
  if r:get(keys[#keys][1]) == keys[#keys][2] then return end -- it is written last
  r:multi(function(m)
    for _, k in ipairs(keys) do m:set(k[1], k[2]) end
  end)
  sleep(pause)
end

-- Leads a host to the service for `urls`. `queue` takes a command of a transaction.
function M.point(queue, host, urls)
  queue("set", M.router_key(host, "rule"), "Host(`" .. host:lower() .. "`)")
  queue("set", M.router_key(host, "service"), M.service(host, urls))
end

-- Removes a host's services to which nothing leads any more.
function M.forget(r, host)
  local service = r:get(M.router_key(host, "service")) -- nil: it was never led anywhere
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

-- Traffic seen from outside: do the routers answer, do they send to the new release, have
-- the requests to the old one ended?
local frontend = require("lib.frontend")
local M = {}

local function base(url) return (url:gsub("/+$", "")) end

-- Returns how clients reach the routers: https when one of them speaks it.
function M.scheme(routers)
  for _, url in ipairs(routers) do
    if url:match("^https://") then return "https" end
  end
  return "http"
end

-- Makes one request to a router, on a new connection like a new client's. The certificate
-- of an https router must be that of the host. `how` has path, and may have headers and ca.
local function ask(router, host, how)
  local headers = {Host = host}
  for name, value in pairs(how.headers or {}) do headers[name] = value end
  return try(http.get, base(router) .. how.path, {
    headers = headers, timeout = "2s", fresh = true, follow = false,
    server_name = router:match("^https://") and host or nil, ca = how.ca ~= "" and how.ca or nil})
end

-- Reports whether anything answers at the backend `url`; any answer will do.
function M.answers(url, host, path) return select(2, ask(url, host, {path = path})) == nil end

local function encoded(text)
  return (text:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- Returns what the mepc-run router with the admin URL `admin` is doing with the backends
-- `urls`, once it has read the lists of `hosts`.
function M.inflight(admin, urls, hosts)
  local asked = {}
  for _, url in ipairs(urls) do asked[#asked + 1] = "backend=" .. encoded(url) end
  for _, host in ipairs(hosts) do asked[#asked + 1] = "host=" .. encoded(host) end
  return try(function()
    local res = http.get(base(admin) .. "/-/inflight?" .. table.concat(asked, "&"), {timeout = "2s", max_body = "16MB"})
    if res.status ~= 200 then fail("status " .. res.status .. ": " .. res.body:sub(1, 80)) end
    return json.decode(res.body)
  end)
end

-- Checks, before anything is done, that the routers and admin servers can be asked later;
-- `urls` are the backends of that time. A router's answer does not matter, nor how long it
-- takes: it may not know the host yet, and the release to be replaced may hang.
function M.ready(routers, admins, host, how, urls)
  for _, router in ipairs(routers) do
    local _, err = ask(router, host, how)
    if err and err.kind ~= "timeout" then
      fail("the router " .. router .. " does not answer: " .. err.message, {
        kind = "unavailable", hint = "start it, or correct --router: the switch is confirmed through it"})
    end
  end
  for _, admin in ipairs(admins) do
    local _, err = M.inflight(admin, urls, {host})
    if err then
      fail("no router's admin server answers at " .. admin .. ": " .. err.message, {
        kind = "unavailable", hint = "correct admin=, or leave it out: the drain then waits for drain= only"})
    end
  end
end

-- Returns what is wrong with an answer, or nil.
local function wrong(res, expect)
  if res.status >= 300 and res.status < 400 then
    return "status " .. res.status .. ", a redirect to " .. (res.headers.location or "nowhere") .. ", which tells nothing about the release"
  elseif not res.ok or not res.body:find(expect or "", 1, true) then
    return "status " .. res.status .. ": " .. res.body:sub(1, 80)
  end
end

-- Asks each router for how.path of `host` until ten answers in a row are good: a status of
-- 200 to 299, and how.expect in the body (anything, if that is empty). Raises unhealthy
-- after `deadline` seconds, with the last bad answer. Calls `alive`, which may raise, after
-- each bad answer and at the end.
function M.confirm(routers, host, how, deadline, alive)
  if #routers == 0 then
    log.warn("no router is named (--router URL): not confirmed that " .. host .. " answers with the new release")
  end
  parallel.map(routers, function(router)
    local row, stop, last = 0, now() + deadline
    while row < 10 do
      local res, err = ask(router, host, how)
      local bad = err and err.message or wrong(res, how.expect)
      row = bad and 0 or row + 1
      if bad then
        alive()
        last = bad
        if now() >= stop then
          local expect = (how.expect or "") ~= "" and " with \"" .. how.expect .. "\"" or ""
          fail("the router " .. router .. " does not send " .. host .. " to the new release: " .. last, {
            kind = "unhealthy", hint = "check that it reads the same Redis, and that the new release answers " .. how.path .. expect})
        end
        sleep("100ms")
      end
    end
  end)
  alive()
end

-- Waits until the requests to the backends `urls`, which `hosts` led to, have ended: at
-- least `least` seconds, for routers that do not tell. Then, for at most `most` seconds,
-- until each mepc-run router (by its admin URL) has dropped these backends and has no
-- request to them in flight. Returns what was seen, in words.
function M.drain(admins, urls, hosts, least, most)
  sleep(least)
  local stop, said = now() + most, {"waited " .. least .. " s"}
  for _, admin in ipairs(admins) do
    local seen, over
    repeat
      local state, err = M.inflight(admin, urls, hosts)
      local busy, listed = 0, false
      for _, b in ipairs(state and state.backends or {}) do
        if frontend.lists(urls, b.url) then
          busy, listed = busy + b.in_flight, listed or b.listed
        end
      end
      over = state and busy == 0 and not listed and state.source == "redis"
      seen = over and "no request in flight" or err and err.message or
        listed and "it still lists an old backend" or busy .. " requests in flight"
      if not over then sleep("50ms") end
    until over or now() >= stop
    if not over then log.warn(admin .. ": " .. seen .. " after " .. most .. " s: they are cut off when the old release stops") end
    said[#said + 1] = admin .. ": " .. seen
  end
  return table.concat(said, "; ")
end

return M

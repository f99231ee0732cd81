-- Traffic seen from outside: do the routers answer, do they send to the new
-- release, are the requests to the old one over?
local frontend = require("lib.frontend")
local M = {}

local function base(url) return (url:gsub("/+$", "")) end

-- One question to a router, on a connection of its own as a new client has it.
local function ask(router, host, path)
  return try(http.get, base(router) .. path, {headers = {Host = host}, timeout = "2s", fresh = true, follow = false})
end

-- Whether something answers at the backend `url`, whatever it says.
function M.answers(url, host, path) return select(2, ask(url, host, path)) == nil end

-- What the routers at the admin URL `admin` of mepc-run router do right now.
local function inflight(admin)
  return try(function()
    local res = http.get(base(admin) .. "/-/inflight", {timeout = "2s"})
    if res.status ~= 200 then fail("status " .. res.status .. ": " .. res.body:sub(1, 80)) end
    return json.decode(res.body)
  end)
end

-- Asks before anything is done whether there is somebody to ask later. What a
-- router answers, and when, is not looked at: it may not know the host yet, and
-- the release to be replaced may hang.
function M.ready(routers, admins, host, path)
  for _, router in ipairs(routers) do
    local _, err = ask(router, host, path)
    if err and err.kind ~= "timeout" then
      fail("the router " .. router .. " does not answer: " .. err.message, {
        kind = "unavailable", hint = "start it, or correct --router: a switch is confirmed through it"})
    end
  end
  for _, admin in ipairs(admins) do
    local _, err = inflight(admin)
    if err then
      fail("no router's admin server answers at " .. admin .. ": " .. err.message, {
        kind = "unavailable", hint = "correct admin=, or leave it out: the drain then takes drain= and no longer"})
    end
  end
end

-- Asks each router for `path` of `host` until `times` answers in a row are good:
-- a status below 400, and `expect` in the body (any, when that is empty). Raises
-- unhealthy after `deadline` seconds, with the last answer that was not, or what
-- `alive` raises, which is called after such an answer and at the end.
function M.confirm(routers, host, path, expect, times, deadline, alive)
  if #routers == 0 then
    log.warn("no router is named (--router URL): that " .. host .. " answers with the new release was not confirmed")
  end
  parallel.map(routers, function(router)
    local row, last, stop = 0, "no answer", now() + deadline
    while row < times do
      local res, err = ask(router, host, path)
      if res and res.status < 400 and res.body:find(expect, 1, true) then
        row = row + 1
      else
        row = 0
        alive()
        last = err and err.message or ("status " .. res.status .. ": " .. res.body:sub(1, 80))
        if now() >= stop then
          fail("the router " .. router .. " does not send " .. host .. " to the new release: " .. last, {
            kind = "unhealthy",
            hint = "does it read the same Redis? does the new release answer " .. path .. (expect ~= "" and " with \"" .. expect .. "\"?" or "?")})
        end
        sleep("100ms")
      end
    end
  end)
  alive()
end

-- Waits until the requests to the backends `urls` are over: `least` seconds in
-- any case, for routers that do not tell; and, for each admin URL of a mepc-run
-- router, until it neither lists them nor has a request with them in flight, for
-- at most `most` seconds. Returns what was seen, in words.
function M.drain(admins, urls, least, most)
  sleep(least)
  local stop, said = now() + most, {"waited " .. least .. " s"}
  for _, admin in ipairs(admins) do
    local seen
    repeat
      local state, err = inflight(admin)
      local busy, listed = 0, false
      for _, b in ipairs(state and state.backends or {}) do
        if frontend.lists(urls, b.url) then
          busy, listed = busy + b.in_flight, listed or b.listed
        end
      end
      local over = state and busy == 0 and not listed and state.source == "redis"
      seen = over and "no request in flight" or err and err.message or
        listed and "it still lists an old backend" or busy .. " requests in flight"
      if not over then
        if now() >= stop then log.warn(admin .. ": " .. seen .. " after " .. most .. " s: they are cut off when the old release stops") end
        sleep("50ms")
      end
    until over or now() >= stop
    said[#said + 1] = admin .. ": " .. seen
  end
  return table.concat(said, "; ")
end

return M

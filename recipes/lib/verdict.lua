-- Is the new release as good as the old one? Numbers come from mepc-run router's
-- admin servers, from what routers marked dead, and from a Prometheus query.
local frontend = require("lib.frontend")
local M = {}

-- The parameters that a verdict takes.
M.params = {
  bake = {type = "duration", default = "60s", doc = "how long each step is watched"},
  every = {type = "duration", default = "5s", min = 0.1, doc = "how often to look meanwhile"},
  max_errors = {type = "number", default = 1, min = 0, max = 100, doc = "percentage of the new release's requests that may fail; one that the old release exceeds, too, is not held against it"},
  max_latency = {type = "duration", default = "0s", doc = "the most that 99 of 100 of its requests may take; 0: any time"},
  min_requests = {type = "integer", default = 20, min = 1, doc = "how many of its requests make a verdict"},
  prometheus = {default = "", doc = "URL of a Prometheus server, for query"},
  query = {default = "", doc = "PromQL that gives one number for the new release"},
  query_max = {type = "number", default = 0, doc = "the most that this number may be"},
  no_data = {type = "enum", values = {"hold", "fail", "pass"}, default = "hold", doc = "without a verdict at the end of a step: wait on, fail, or go on"},
  hold_max = {type = "duration", default = "10m", doc = "how long to wait on at most"},
}

-- What the routers have sent to the backends: {total, errors, p99 in seconds}, or
-- nil and why it is not known.
local function counted(admins, urls)
  local sum = {total = 0, errors = 0, p99 = 0}
  for _, admin in ipairs(admins) do
    local res, err = try(http.get, (admin:gsub("/+$", "")) .. "/-/inflight", {timeout = "2s", max_body = "16MB"})
    if err or not res.ok or not res.json then return nil, admin .. ": " .. (err and err.message or "status " .. res.status) end
    for _, b in ipairs(res.json.backends) do
      if frontend.lists(urls, b.url) then
        local p99 = b.latency_ms and b.latency_ms.p99
        sum.total, sum.errors = sum.total + b.total, sum.errors + b.errors
        if type(p99) == "number" then sum.p99 = math.max(sum.p99, p99 / 1000) end
      end
    end
  end
  return sum
end

local function since(start, now)
  if not start or now.total < start.total then return now end -- it was not counted before, or the router began anew
  return {total = now.total - start.total, errors = now.errors - start.errors, p99 = now.p99}
end

local function rate(n) return n.total > 0 and 100 * n.errors / n.total or 0 end

local function percent(n) return ("%.3g %%"):format(n) end

-- Asks Prometheus. Returns the number, or nil and why there is none.
local function queried(p)
  local encoded = p.query:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end)
  local res, err = try(http.get, (p.prometheus:gsub("/+$", "")) .. "/api/v1/query?query=" .. encoded, {timeout = "5s"})
  if err then return nil, p.prometheus .. ": " .. err.message end
  local found = res.json and res.json.data and res.json.data.result
  if not res.ok or not found then return nil, p.prometheus .. ": status " .. res.status end
  if #found ~= 1 or not found[1].value then return nil, "the query gives " .. #found .. " numbers" end
  return tonumber(found[1].value[2])
end

-- Begins to watch `new` beside `old`, both lists of backends, on the host. `p` are
-- the values of M.params, host and admin.
function M.begin(p, store, old, new)
  local w = {p = p, store = store, old = old, new = new}
  w.old_start, w.new_start = counted(p.admin, old), counted(p.admin, new)
  return w
end

-- Looks once. Returns "good", "bad" or "unknown", and why, in words.
function M.look(w)
  local p, why = w.p, {}
  local listed = frontend.read(w.store, p.host)
  for _, index in ipairs(w.store:smembers(frontend.dead_key(p.host))) do
    local url = listed and listed.urls[tonumber(index) + 1]
    if url and frontend.lists(w.new, url) then return "bad", "a router could not reach " .. url end
  end
  local known = false
  if #p.admin > 0 then
    local new, err = counted(p.admin, w.new)
    local old = new and counted(p.admin, w.old)
    if not old then return "unknown", err or "the routers do not tell" end
    new, old = since(w.new_start, new), since(w.old_start, old)
    why[1] = new.errors .. " of " .. new.total .. " requests failed"
    if new.total >= p.min_requests then
      known = true
      if rate(new) > p.max_errors and rate(new) > rate(old) then
        return "bad", why[1] .. " (" .. percent(rate(new)) .. ", the old release " .. percent(rate(old)) .. ", max_errors is " .. percent(p.max_errors) .. ")"
      end
      if p.max_latency > 0 and new.p99 > p.max_latency then
        return "bad", ("1 of 100 requests takes %.3g s or more, max_latency is %g s"):format(new.p99, p.max_latency)
      end
    else
      why[1] = why[1] .. ", min_requests is " .. p.min_requests
    end
  end
  if p.query ~= "" then
    local value, err = queried(p)
    if not value then return "unknown", err end
    known = #p.admin == 0 or known
    why[#why + 1] = ("the query says %g"):format(value)
    if value > p.query_max then return "bad", why[#why] .. (", query_max is %g"):format(p.query_max) end
  end
  if #why == 0 then return "unknown", "no numbers: neither admin nor query is given" end
  return known and "good" or "unknown", table.concat(why, "; ")
end

-- Watches for p.bake, and on where nothing is known yet and no_data says hold.
-- `alive` is called at each look and raises when the new release does not run.
-- Returns what was seen, in words; raises unhealthy for a bad verdict.
function M.bake(w, alive)
  local p = w.p
  local stop, last = now() + p.bake, now() + p.bake + p.hold_max
  while true do
    local verdict, why
    local left = stop - now()
    if left > 0 then sleep(math.min(p.every, left)) end
    alive()
    verdict, why = M.look(w)
    if verdict == "bad" then fail(why, {kind = "unhealthy", hint = "traffic goes back: see to the new release, then deploy it again"}) end
    if now() >= stop then
      if verdict == "good" then return why end
      if p.no_data == "pass" then return "no verdict (" .. why .. "), and no_data=pass" end
      if p.no_data == "fail" or now() >= last then
        fail("there is no verdict on the new release: " .. why, {
          kind = "unhealthy", hint = "does traffic reach " .. p.host .. "? give admin=URL or query=, a longer bake, or no_data=pass"})
      end
      sleep(p.every)
    end
  end
end

return M

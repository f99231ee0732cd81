-- Judges whether the new release is as good as the old one. The numbers come from the
-- admin servers of mepc-run router, from the marks of dead backends, and from a Prometheus
-- query.
local frontend = require("lib.frontend")
local traffic = require("lib.traffic")
local M = {}

-- The parameters that a verdict takes.
M.params = {
  bake = {type = "duration", default = "60s", doc = "how long to watch each step"},
  every = {type = "duration", default = "5s", min = 0.1, doc = "how often to look during that time"},
  max_errors = {type = "number", default = 1, min = 0, max = 100, doc = "percentage of the new release's requests that may fail; more is accepted if the old release fails as often"},
  max_latency = {type = "duration", default = "0s", doc = "how long 99 of 100 of its requests may take at most; 0: no limit"},
  min_requests = {type = "integer", default = 20, min = 1, doc = "how many of its requests are needed for a verdict"},
  prometheus = {default = "", doc = "URL of a Prometheus server, for query"},
  query = {default = "", doc = "PromQL that yields one number for the new release"},
  query_max = {type = "number", default = 0, doc = "the highest acceptable number"},
  no_data = {type = "enum", values = {"hold", "fail", "pass"}, default = "hold", doc = "what to do without a verdict at the end of a step: keep waiting, fail, or go on"},
  hold_max = {type = "duration", default = "10m", doc = "how long to keep waiting at most"},
}

-- Returns what the routers have sent to the backends: {total, errors, p99 in seconds}, or
-- nil and the reason.
local function counted(p, urls)
  local sum = {total = 0, errors = 0, p99 = 0}
  for _, admin in ipairs(p.admin) do
    local state, err = traffic.inflight(admin, urls, p.host)
    if err then return nil, admin .. ": " .. err.message end
    for _, b in ipairs(state.backends) do
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
  if not start or now.total < start.total then return now end -- it was not counted before, or the router restarted
  return {total = now.total - start.total, errors = now.errors - start.errors, p99 = now.p99}
end

local function rate(n) return n.total > 0 and 100 * n.errors / n.total or 0 end

local function percent(n) return ("%.3g %%"):format(n) end

-- Asks Prometheus. Returns the number, or nil and the reason.
local function queried(p)
  local encoded = p.query:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end)
  local res, err = try(http.get, (p.prometheus:gsub("/+$", "")) .. "/api/v1/query?query=" .. encoded, {timeout = "5s"})
  if err then return nil, p.prometheus .. ": " .. err.message end
  local found = res.json and res.json.data and res.json.data.result
  if not res.ok or not found then return nil, p.prometheus .. ": status " .. res.status end
  if #found ~= 1 or not found[1].value then return nil, "the query gives " .. #found .. " numbers" end
  return tonumber(found[1].value[2])
end

-- Begins to watch `new` beside `old`, both lists of backends, on the hosts. `p` holds the
-- values of M.params, host and admin.
function M.begin(p, store, old, new)
  local w = {p = p, store = store, old = old, new = new}
  w.old_start, w.new_start = counted(p, old), counted(p, new)
  return w
end

-- Looks once. Returns "good", "bad" or "unknown", and the reason, in words.
function M.look(w)
  local p, why = w.p, {}
  for _, host in ipairs(p.host) do
    local listed = frontend.read(w.store, host)
    for _, index in ipairs(w.store:smembers(frontend.dead_key(host))) do
      local url = listed and listed.urls[tonumber(index) + 1]
      if url and frontend.lists(w.new, url) then return "bad", "a router could not reach " .. url end
    end
  end
  local known = false
  if #p.admin > 0 then
    local new, err = counted(p, w.new)
    local old = new and counted(p, w.old)
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

-- Watches for p.bake, and longer while nothing is known yet and no_data is "hold". Calls
-- `alive` at each look, which raises when the new release does not run. Returns what was
-- seen, in words; raises unhealthy for a bad verdict.
function M.bake(w, alive)
  local p = w.p
  local stop, last = now() + p.bake, now() + p.bake + p.hold_max
  while true do
    local verdict, why
    local left = stop - now()
    if left > 0 then sleep(math.min(p.every, left)) end
    alive()
    verdict, why = M.look(w)
    if verdict == "bad" then fail(why, {kind = "unhealthy", hint = "traffic goes back: fix the new release, then deploy it again"}) end
    if now() >= stop then
      if verdict == "good" then return why end
      if p.no_data == "pass" then return "no verdict (" .. why .. "), and no_data=pass" end
      if p.no_data == "fail" or now() >= last then
        fail("there is no verdict on the new release: " .. why, {
          kind = "unhealthy", hint = "check that traffic reaches " .. p.host[1] .. ", or give admin=URL, query=, a longer bake, or no_data=pass"})
      end
      sleep(p.every)
    end
  end
end

return M

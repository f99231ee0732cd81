-- What earlier releases of an app left on the engine, and the end of it. Nothing
-- here stops a container that any host points to.
local address = require("lib.address")
local frontend = require("lib.frontend")
local release = require("lib.release")
local M = {}

-- The app's containers that `new` with so many replicas has no use for:
-- {running={...}, stopped={...}}, the last to stop first.
function M.retired(engine, new, replicas)
  local out = {running = {}, stopped = {}}
  for _, c in ipairs(engine:list{all = true, labels = {["mepc.app"] = new.app}}) do
    local replica = tonumber(c.labels["mepc.replica"]) or 1
    if not release.is(c, new) or replica > replicas then
      local list = c.state.running and out.running or out.stopped
      list[#list + 1] = c
    end
  end
  table.sort(out.stopped, function(a, b)
    local x, y = a.state.finished_at or 0, b.state.finished_at or 0
    if x ~= y then return x > y end
    return a.name < b.name
  end)
  return out
end

-- Of those that run, the ones that no host points to any more; and, in words,
-- the ones that one does.
function M.idle(engine, store, new, replicas)
  local idle, busy, pointing = {}, {}, frontend.all(store)
  for _, c in ipairs(M.retired(engine, new, replicas).running) do
    local hosts = address.hosts(c, pointing)
    if hosts then
      busy[#busy + 1] = c.name .. " is left running: " .. hosts .. " points to it"
    else
      idle[#idle + 1] = c
    end
  end
  return idle, busy
end

-- The IDs of the running containers that the backends `urls` lead to, by URL.
function M.owners(engine, urls)
  local ids = {}
  for _, c in ipairs(#urls > 0 and engine:list{all = false} or {}) do
    for _, url in ipairs(urls) do
      if address.answers(c, url) then ids[url] = c.id end
    end
  end
  return ids
end

-- The backends that nobody points to any more: those of `from`, and those that
-- are addresses of the containers `idle`. Also, in words, those where no release
-- of the app runs, which nobody will stop.
function M.left(engine, store, app, port, from, idle)
  local urls, foreign, pointed = {}, {}, {}
  for _, p in ipairs(frontend.all(store)) do pointed[p.url] = true end
  local running = engine:list{all = false}
  for _, url in ipairs(from) do
    if not pointed[url] then
      pointed[url] = true -- one that stood twice is told of once
      urls[#urls + 1] = url
      local owner
      for _, c in ipairs(running) do owner = address.answers(c, url) and c or owner end
      if not owner or owner.labels["mepc.app"] ~= app then
        foreign[#foreign + 1] = url .. (owner and " (" .. owner.name .. ")" or "") ..
          " has no traffic any more; no release of " .. app .. " runs there: it is left as it is"
      end
    end
  end
  for _, c in ipairs(idle) do
    for _, url in ipairs(address.urls(c, port)) do urls[#urls + 1] = url end
  end
  return urls, foreign
end

-- Stops what is idle. Returns in words what was not stopped.
function M.stop(engine, store, new, replicas)
  local left = {}
  parallel.map(M.idle(engine, store, new, replicas), function(c)
    local hosts = address.hosts(c, frontend.all(store)) -- look again: the others took their time
    if hosts then
      left[#left + 1] = c.name .. " is left running: " .. hosts .. " points to it"
    else
      release.retire(engine, c)
    end
  end, {limit = 8})
  return left
end

return M

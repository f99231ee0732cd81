-- Removes what earlier releases left: stopped containers beyond the `keep`
-- releases that ran last, and the repository's images that are older than the
-- one deployed, beyond `retain` in all. It never touches running containers, the
-- images of containers that stay, or newer images, which may be deployed next.
local history = require("lib.history")
local release = require("lib.release")
local M = {}

-- Returns the stopped containers to remove. A release that some host may return to stays;
-- if p.host may return to fewer than p.keep, so do those that ran last.
local function containers(engine, current, p, served)
  local kept, doomed, stay, count = history.kept(served, p.host, p.keep), {}, {}, 0
  local stopped = release.retired(engine, current, p.replicas).stopped
  -- Those that ran last come first; inspecting each tells when it stopped.
  local ended = {}
  for _, c in ipairs(#stopped > p.keep and stopped or {}) do
    local now = kept.all[c.labels["mepc.release"]] == nil and engine:find(c.id)
    ended[c.id] = now and now.state.finished_at or 0
  end
  table.sort(stopped, function(a, b)
    local x, y = ended[a.id] or 0, ended[b.id] or 0
    if x ~= y then return x > y end
    return a.name < b.name
  end)
  for _, c in ipairs(stopped) do
    local id = c.labels["mepc.release"]
    if id ~= current.id and kept.all[id] and not stay[id] then
      stay[id], count = true, count + (kept.mine[id] and 1 or 0)
    end
  end
  for _, c in ipairs(stopped) do
    local id = c.labels["mepc.release"]
    local ran = c.state.status == "exited" and id ~= current.id
    if ran and not stay[id] and count < p.keep then
      stay[id], count = true, count + 1
    end
    if not (ran and stay[id]) then doomed[#doomed + 1] = c end
  end
  return doomed
end

local function images(engine, current, retain, doomed)
  local gone, used, list = {}, {}, {}
  local repository = current.spec.reference:gsub("@.*", ""):gsub(":[^:/]+$", "")
  local there, older = engine:images{reference = repository}, {}
  if #there <= retain and #doomed == 0 then return list end
  for _, c in ipairs(doomed) do gone[c.id] = true end
  for _, c in ipairs(engine:list{all = true}) do
    if not gone[c.id] then used[c.image_id] = true end
  end
  for _, i in ipairs(#there > retain and there or {}) do
    local details = engine:image(i.id) -- the list gives their age in whole seconds only
    if details and details.created < current.spec.image.created then older[#older + 1] = details end
  end
  table.sort(older, function(a, b) return a.created > b.created end)
  for n = retain, #older do -- the current one is the first of those retained
    for _, tag in ipairs(used[older[n].id] and {} or older[n].tags) do
      if tag:sub(1, #repository + 1) == repository .. ":" then list[#list + 1] = tag end
    end
  end
  for _, c in ipairs(doomed) do -- an image whose tag moved on has only its containers
    local i = not used[c.image_id] and engine:image(c.image_id)
    if i and #i.tags == 0 then
      used[i.id] = true
      list[#list + 1] = i.id
    end
  end
  return list
end

-- Returns what to remove: {containers={...}, images={names or IDs}, count=...}. `p` has
-- host, replicas, keep and retain; `served` comes from history.all.
function M.plan(engine, current, p, served)
  local doomed = containers(engine, current, p, served)
  local list = images(engine, current, p.retain, doomed)
  return {containers = doomed, images = list, count = #doomed + #list}
end

-- Removes it. The deployment is done at this point: what cannot be removed is logged, and
-- left to the next run.
function M.run(engine, plan)
  local function attempt(name, remove)
    local _, err = try(remove, engine, name, {missing_ok = true})
    if err then log.warn(name .. " could not be removed: " .. err.message) end
  end
  for _, c in ipairs(plan.containers) do attempt(c.name, engine.remove) end
  for _, name in ipairs(plan.images) do attempt(name, engine.remove_image) end
end

return M

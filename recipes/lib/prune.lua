-- Removes what earlier releases left: stopped containers beyond the `keep`
-- releases that ran last, and the repository's images that are older than the
-- one deployed, beyond `retain` in all. What runs, the image of any container
-- that stays, and newer images, which wait for their turn, are never touched.
local old = require("lib.old")
local release = require("lib.release")
local M = {}

local function containers(engine, current, replicas, keep)
  local doomed, kept, count = {}, {}, 0
  for _, c in ipairs(old.retired(engine, current, replicas).stopped) do
    local id = c.labels["mepc.release"]
    local ran = c.state.status == "exited" and not release.is(c, current)
    if ran and not kept[id] and count < keep then
      kept[id], count = true, count + 1
    end
    if not (ran and kept[id]) then doomed[#doomed + 1] = c end
  end
  return doomed
end

local function images(engine, current, retain, doomed)
  local gone, used, list = {}, {}, {}
  for _, c in ipairs(doomed) do gone[c.id] = true end
  for _, c in ipairs(engine:list{all = true}) do
    if not gone[c.id] then used[c.image_id] = true end
  end
  local repository = current.spec.reference:gsub("@.*", ""):gsub(":[^:/]+$", "")
  local older = {}
  for _, i in ipairs(engine:images{reference = repository}) do
    local details = engine:image(i.id) -- the list tells their age in full seconds only
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

-- What there is to remove: {containers={...}, images={names or IDs}, count=...}.
function M.plan(engine, current, replicas, keep, retain)
  local doomed = containers(engine, current, replicas, keep)
  local list = images(engine, current, retain, doomed)
  return {containers = doomed, images = list, count = #doomed + #list}
end

-- Removes it. The deployment is done by now: what cannot be removed is said, and
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

-- Shares traffic between two sets of backends by how often each is listed in a routing
-- list. Nothing here asks a server: lists in, lists out.
local M = {}

local function gcd(a, b)
  while b ~= 0 do a, b = b, a % b end
  return a
end

-- Returns the shortest list in which the backends `new` have `percent` of the entries, 1 to
-- 99, and those of `old` the rest, in their former proportions.
function M.list(old, new, percent)
  local each_new, each_old = percent * #old, (100 - percent) * #new
  local g = gcd(each_new, each_old)
  local list = {}
  for _, url in ipairs(new) do
    for _ = 1, each_new / g do list[#list + 1] = url end
  end
  for _, url in ipairs(old) do
    for _ = 1, each_old / g do list[#list + 1] = url end
  end
  return list
end

-- Returns the backends of `list` that are not among `others`.
function M.without(list, others)
  local gone, rest = {}, {}
  for _, url in ipairs(others) do gone[url] = true end
  for _, url in ipairs(list) do
    if not gone[url] then rest[#rest + 1] = url end
  end
  return rest
end

-- Returns the backends of `more` that `list` lacks, then `list`.
function M.with(list, more)
  local all = M.without(more, list)
  for _, url in ipairs(list) do all[#all + 1] = url end
  return all
end

-- Returns the percentages of a canary as numbers, from texts such as "10".
function M.steps(texts)
  local steps, last = {}, 0
  for i, text in ipairs(texts) do
    local percent = tonumber((text:gsub("%%$", "")))
    if not percent or percent % 1 ~= 0 or percent <= last or percent > 99 then
      fail("steps: " .. text .. " is not a whole percentage from " .. last + 1 .. " to 99", {
        kind = "invalid_argument", hint = "steps must grow, and the step to 100 is added at the end: steps=10,25,50"})
    end
    steps[i], last = percent, percent
  end
  return steps
end

-- Returns the batches of a rolling deployment from the backends `old` to `replicas` new
-- containers, `size` at a time: a list of {start={replica, ...}, retire={url, ...}}.
function M.batches(old, replicas, size)
  local plan = {}
  for first = 1, math.max(#old, replicas), size do
    local batch = {start = {}, retire = {}}
    for i = first, first + size - 1 do
      if i <= replicas then batch.start[#batch.start + 1] = i end
      if i <= #old then batch.retire[#batch.retire + 1] = old[i] end
    end
    plan[#plan + 1] = batch
  end
  return plan
end

return M

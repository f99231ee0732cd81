-- Worlds that several specs have in common.
local M = {}

-- production is an engine with the images of an application, a Redis, and a
-- router. `more` are further keys of a world, or others in place of these.
function M.production(more)
  local t = {
    images = {
      {ref = "mepc/app:1.0", expose = {"8080"}},
      {ref = "mepc/app:1.1", expose = {"8080"}},
      {ref = "mepc/app:slow", expose = {"8080"}, behaviour = {start_delay = "20s"}},
      {ref = "mepc/app:sick", expose = {"8080"}, behaviour = {unhealthy = true}},
      {ref = "mepc/app:dies", expose = {"8080"}, behaviour = {exit_on_start = true, exit_code = 1}},
    },
    routers = {"127.0.0.1:8080"},
  }
  for key, value in pairs(more or {}) do t[key] = value end
  return world(t)
end

return M

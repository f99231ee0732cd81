-- A blue-green deployment as one writes it at first. Without a fault it is perfect.
local p = params{
  image = {required = true},
  host  = {default = "appserver"},
}
local r, key = redis.connect(), "frontend:" .. p.host
local name = "app-" .. p.image:match(":(.+)$")

local found = docker.find(name)
if found and r:lindex(key, 1) == "http://" .. found.ip .. ":8080" and #docker.list{labels = {["mepc.app"] = "app"}} == 1 then return end

-- Start the new one; take it down again when anything fails.
if not found then
  docker.create{name = name, image = p.image, labels = {["mepc.app"] = "app"}, restart = "always"}
end
defer("take it down", function()
  docker.stop(name)
  docker.remove(name)
end)
docker.start(name)
docker.wait_healthy(name, {http = {port = 8080, path = "/"}})

-- Send the traffic there.
r:linsert(key, "AFTER", "app", "http://" .. docker.inspect(name).ip .. ":8080")
r:ltrim(key, 0, 1)
r:del("dead:" .. p.host)

-- Stop the old one.
for _, c in ipairs(docker.list{labels = {["mepc.app"] = "app"}}) do
  if c.name ~= name then
    docker.stop(c.name)
    docker.remove(c.name)
  end
end

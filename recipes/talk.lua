-- The talk "Mise en Production Continue" (2013), command by command: the primer.
--
-- One build gives one image; the image travels as a tar; a container of it is
-- started beside the old one; two Redis commands move the traffic. bluegreen.lua
-- does the same for production: it confirms, waits, stops the old one and undoes.
local p = params{
  context  = {required = true, doc = "the directory with the application's Dockerfile"},
  version  = {required = true, doc = "the version of this build, such as 1.1"},
  color    = {type = "enum", values = {"blue", "green"}, required = true, doc = "the container to create: the one without traffic now"},
  frontend = {default = "appserver", doc = "the host whose traffic moves"},
  db       = {default = "db", doc = "the container to link to; empty: none"},
  tar      = {default = "app.tar", doc = "the file that the image travels in"},
}
local image, name = "mepc/app:" .. p.version, "app-" .. p.color
local r, key = redis.connect(), "frontend:" .. p.frontend

-- docker build -t mepc/app . : every build yields an image, every image is a deployment.
docker.build{context = p.context, tag = image, args = {VERSION = p.version}}

-- docker save mepc/app > app.tar
docker.save(image, p.tar)

-- curl --data-binary @app.tar http://production:4243/images/load
local production = docker.connect()
production:load(p.tar)

-- The colour may exist from two deployments ago. It must not have the traffic.
local old = production:find(name)
if old then
  for _, backend in ipairs(r:lrange(key, 1, -1)) do
    if old.ip ~= "" and backend == "http://" .. old.ip .. ":8080" then
      fail(p.frontend .. " points to " .. name, {kind = "conflict", hint = "deploy the other colour"})
    end
  end
  production:remove(name, {force = true})
end

-- Create app-blue and start it, linked to its database.
production:create{
  name = name, image = image, cmd = {"/app"}, expose = {"8080"},
  links = p.db ~= "" and {p.db .. ":db"} or {},
}
production:start(name)
local url = "http://" .. production:inspect(name).ip .. ":8080"

-- Does it answer? The talk looked; we ask.
production:wait_healthy(name, {http = {port = 8080, path = "/health"}, deadline = "30s"})

-- redis-cli rpush frontend:appserver app http://IP:8080        (the first time)
-- redis-cli linsert frontend:appserver AFTER app http://IP:8080
-- redis-cli ltrim frontend:appserver 0 1
if r:exists(key) == 0 then
  r:rpush(key, "app", url)
elseif r:linsert(key, "AFTER", "app", url) > 0 then
  r:ltrim(key, 0, 1)
else
  fail(key .. " has no identifier \"app\" to insert after: the list is unchanged, and " .. name .. " runs without traffic")
end
r:del("dead:" .. p.frontend) -- a router's marks are positions in the list, and those have moved
log(p.frontend .. " points to " .. name .. " at " .. url)

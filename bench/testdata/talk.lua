-- What talk.sh does, as a recipe: the image goes from engine to engine without a
-- file on the way. Besides, it is verified, and the container is healthy before
-- it gets the traffic.
local p = params{
  context    = {required = true, doc = "directory to build"},
  image      = {required = true, doc = "name of the image"},
  name       = {required = true, doc = "name of the container"},
  host       = {required = true, doc = "the host whose traffic moves"},
  production = {required = true, doc = "URL of the production engine"},
}
docker.build{context = p.context, tag = p.image}
local production = docker.connect(p.production)
docker.copy_image(p.image, {to = production})

production:create{name = p.name, image = p.image, cmd = {"/app"}, expose = {"8080"}}
production:start(p.name)
production:wait_healthy(p.name, {http = {port = 8080, path = "/health"}, interval = "50ms"})
local url = "http://" .. production:inspect(p.name).ip .. ":8080"

local r, key = redis.connect(), "frontend:" .. p.host
if r:linsert(key, "AFTER", "app", url) < 1 then
  fail(key .. " is not as it should be")
end
r:ltrim(key, 0, 1)

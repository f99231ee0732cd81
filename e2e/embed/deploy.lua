-- Starts a release, notes it in Redis, and tells the team.
local p = params{
  name = {required = true, doc = "the container"},
  image = {required = true, doc = "the image to deploy"},
  channel = {required = true, doc = "who is told"},
}

docker.create{name = p.name, image = p.image}
defer("remove the release", function() docker.remove(p.name, {force = true}) end)
docker.start(p.name)
redis.connect():set("mepc:release", p.image)
slack.post(p.channel, "deployed " .. p.image)

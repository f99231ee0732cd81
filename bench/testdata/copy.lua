-- Copies an image from the run's default engine to another.
local p = params{
  image = {required = true, doc = "name of the image"},
  to    = {required = true, doc = "URL of the other engine"},
}
docker.copy_image(p.image, {to = docker.connect(p.to)})

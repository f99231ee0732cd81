-- Lays a directory on an image.
local p = params{image = {required = true}, base = {required = true}, add = {required = true}}
docker.append{image = p.image, base = p.base, add = p.add, to = "/srv"}

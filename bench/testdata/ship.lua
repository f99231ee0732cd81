local p = params{image = {required = true}, to = {required = true}}
local s = docker.ship{image = p.image, to = docker.connect(p.to)}
return {bytes = s.bytes, saved = s.saved}

local p = params{image = {required = true}, to = {required = true}, via = {default = "auto"}}
local to = {}
for endpoint in p.to:gmatch("[^,]+") do table.insert(to, docker.connect(endpoint)) end
local begin = os.clock()
to[1]:images{reference = "bench/none"}
docker.image(p.image)
local looked = os.clock() - begin
local s = docker.ship{image = p.image, to = to, via = p.via}
return {bytes = s.bytes, saved = s.saved, beyond = (os.clock() - begin - 2 * looked) * 1000}

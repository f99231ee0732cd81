-- Objects of the library have what their class says.
local deployment = require("lib.deployment")
local d = deployment.open(params(deployment.params()))
d:start()
if d.settled then return end
d:swich() --> 3 E103 a deployment of lib.deployment has no "swich"; did you mean "switch"? (mepc-run doc lib.deployment shows what it has)
d:confrim() --> 3 E103 did you mean "confirm"?
d.finish() --> 3 E109 deployment.finish is called without its object (write a colon: x:finish(...))
d.finish(d)
try(d.finish, d)
print(d.setled, d.to[1], d.p.image, d.route.name) --> 9 E103 did you mean "settled"?
print(d.to[0]) --> 1 E103 to is a list, which begins at 1
d.mine = 1
print(d.mine)
deployment:open() --> 12 E109 lib.deployment:open passes the library itself (write a dot: deployment.open(...))

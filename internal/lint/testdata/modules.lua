docker.creat{name = "app", image = "mepc/app:1"} --> 8 E103 docker has no function "creat"; did you mean "create"?
docker.create{name = "app", imag = "mepc/app:1"} --> 1 E106 docker.create: image is missing: string expected --> 29 E104 docker.create: unknown option "imag"; did you mean "image"?
docker.create{name = "app", image = "mepc/app:1", memory = "much"} --> 51 E105 docker.create: memory: "much" is not a size
docker.create{name = "app", image = "mepc/app:1", healthcheck = {cmd = {"x"}, retrys = 3}} --> 79 E104 healthcheck: unknown option "retrys"; did you mean "retries"?
docker.create{name = "app", image = "mepc/app:1", healthcheck = {cmd = "x"}} --> 66 E105 healthcheck.cmd: list of strings expected, got string
docker.create{name = "a b", image = "mepc/app:1"} --> 15 E105 docker.create: name
docker.create{name = "app", image = os.date(), tty = 1} --> 48 E105 tty: boolean expected, got number
docker.create{name = "app", image = "x", image = "y"} --> 42 W204 the key image stands twice
docker.start() --> 1 E106 is missing: string expected (usage: docker.start(
docker.start({}) --> 1 E105 string expected, got table
docker.start("app", "now") --> 1 E106 docker.start takes 1 argument, got 2 (usage: docker.start(container))
http.get("http://127.0.0.1/", "now") --> 1 E105 http.get: a table of options expected as argument 2, got string
docker:start("app") --> 8 E109 docker:start passes the module itself (write a dot: docker.start(...))
docker.stop("app", {timeout = "30 parsecs"}) --> 21 E105 timeout: "30 parsecs" is not a duration
docker.stop("app", {timeout = -1}) --> 21 E105 timeout
docker.stop(unpack({"app"}))
redis.get("a") --> 7 E103 get is a method of what redis.connect returns: local r = redis.connect(); r:get(...)
redis:get("a") --> 7 E103 redis has no function "get"
local r, prod = redis.connect(), docker.connect("unix:///run/docker.sock")
r:linsrt("a") --> 3 E103 redis has no command "linsrt"; did you mean "linsert"?
r.get("a") --> 3 E109 redis:get is called without its object (write a colon: x:get(...))
r:rpush("key", {"a", "b"}, r:get("n"))
try(r.get, r, "a")
try(docker.stop, "app", {timout = "3s"}) --> 26 E104 unknown option "timout"; did you mean "timeout"?
prod:start("app")
prod:strat("app") --> 6 E103 a docker.engine has no method "strat"; did you mean "start"?
prod:stop("app", {timout = 1}) --> 19 E104 unknown option "timout"
r:replace_list("k", "a", {"b"}) --> 1 E105 list of strings expected, got string
r:multi("x") --> 1 E105 function expected, got string
sleep("soon") --> 1 E105 sleep: 
retry(function() end, {attempts = 0}) --> 24 E105 attempts: 0 is below the least allowed, 1
log("x", 1) --> 1 E105 log
http.get("http://127.0.0.1/", {heders = {}}) --> 32 E104 unknown option "heders"; did you mean "headers"?
local function later(docker) docker.anything() end
later()
local undo = defer("x", print)
undo:cancel()
undo:cancle() --> 6 E103 has no method "cancle"; did you mean "cancel"?

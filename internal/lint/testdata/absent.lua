print(io.open("x")) --> 7 E101 there is no io here
print(os.getenv("A")) --> 10 E103 there is no os.getenv here: env(name)
local strings = require("string")
print(strings.format("%d", 1))

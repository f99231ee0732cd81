local a = 1 --> 7 W201 the variable a is not used (remove it, or call it _a)
local _b = 1
local c --> 7 W201 c is assigned, and never read
c = 2
local traffic = require("lib.traffic") --> 7 W201 the required file traffic is not used
local function f() end --> 16 W201 the function f is not used
local function g(x, y) return x end --> 21 W202 the parameter y is not used
local function h(x, y) return y end
print(g(1, 2), h(1, 2), prnt) --> 25 E101 global prnt is not defined; did you mean "print"?
for i, v in ipairs({}) do print(v) end
for k, v in pairs({}) do print(k) end --> 8 W202 the loop variable v is not used
for n = 1, 2 do print("again") end --> 5 W202 the loop variable n is not used
total = 1 --> 1 E102 assignment to the global total (write local total)
function helper() end --> 10 E102 assignment to the global helper
print = nil --> 1 E102 it is part of the environment
string.trim = 1 --> 1 E102 string cannot be changed
function docker.start2() end --> 1 E102 docker cannot be changed
print(later()) --> 7 E101 the local later of line 20 is not visible here
print(dokcer, dokcer) --> 7 E101 did you mean "docker" --> 15 E101 did you mean "docker"
local function later() return 1 end
print(later(), string.trim, _G.print) --> 23 E103 string has no member "trim"
goto done
do local deep = 1 end --> 1 W203 this is never reached --> 10 W201 the variable deep is not used
::done::
repeat local stop = true until stop
local ok, err = pcall(print) --> 11 W201 the variable err
print(ok)
local x = 1 -- check: ignore W201
local y = 1 -- check: ignore W201, because the next file wants it so
local z = 1 -- check: ignore W203 --> 7 W201 the variable z
local w = 1 -- check: ignore all --> 7 W201 the variable w is not used --> 16 W206 check: ignore names no check

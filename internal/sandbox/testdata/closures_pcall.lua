local x=1; local function inc() x=x+1 end; pcall(error,"b"); inc(); print(x)
local function f() local n = 0 local function inc() n = n + 1 end for i=1,3 do pcall(function() inc(); error("boom") end) end inc() return n end
print(f())
local function g() local n = 0 local function inc() n = n + 1 end pcall(function() pcall(function() inc() end) inc() error("b") end) inc() return n end
print(g())
local fs = {}
for i=1,5 do local ok, fn = pcall(function() local c = i * 10 return function() c = c + 1 return c end end) fs[i] = fn end
for i=1,5 do print(fs[i](), fs[i]()) end
local ok, q = pcall(function() local z = 7 error(function() z = z + 1 return z end) end)
pcall(function() local a,b,c = 1,2,3 local k = function() return a+b+c end return k() end)
print(q(), q())
print(pcall(function(...) return ... end, 1, nil, 3))
print(select('#', pcall(function() return nil, nil end)))
print(pcall(nil))
print(pcall(error))
print(pcall(error, nil))
print(pcall(error, "x", 0), pcall(error, "x", 1), pcall(error, "x", 2))
print(select(2, pcall(function() error("lvl1") end)))
print(select(2, pcall(function() error("lvl2", 2) end)))
local function thrower() error("deep", 2) end
print(select(2, pcall(function() thrower() end)))
print(select(2, pcall(function() error({code=1}) end)).code)

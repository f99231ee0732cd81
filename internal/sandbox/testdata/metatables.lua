local V = {}
V.__index = V
V.__add = function(a, b) return setmetatable({x = (type(a)=="table" and a.x or a) + (type(b)=="table" and b.x or b)}, V) end
V.__sub = function(a, b) return "sub" end
V.__mul = function(a, b) return "mul" end
V.__div = function(a, b) return "div" end
V.__mod = function(a, b) return "mod" end
V.__pow = function(a, b) return "pow" end
V.__unm = function(a) return "unm" end
V.__concat = function(a, b) return "cat(" .. (type(a)=="table" and "T" or a) .. "," .. (type(b)=="table" and "T" or b) .. ")" end
V.__eq = function(a, b) return a.x == b.x end
V.__lt = function(a, b) return a.x < b.x end
V.__le = function(a, b) return a.x <= b.x end
V.__call = function(self, ...) return "called", ... end
V.__tostring = function(self) return "V(" .. self.x .. ")" end
local function new(x) return setmetatable({x=x}, V) end
local a, b = new(1), new(2)
print(tostring(a + b), tostring(a + 5), tostring(5 + a), tostring("10" + a), tostring(a + "3"))
print(a - b, a * b, a / b, a % b, a ^ b, -a)
print(a .. b, a .. "s", "s" .. a, 1 .. a, "x" .. "y" .. a .. "z")
print(a == b, a == new(1), a ~= b, a < b, a <= b, a > b, a >= b)
print(a(1, 2), (a()))
print(tostring(a), pcall(tostring, setmetatable({}, {__tostring = function() return 1 end})))
local p = setmetatable({}, {__index = function(t, k) return k .. "!" end, __newindex = function(t, k, v) rawset(t, k, v * 2) end})
print(p.foo, p[1], p.x) p.y = 5 print(p.y, rawget(p, "y")) p.y = 6 print(p.y)
local base = {greet = function(self) return "hi " .. self.name end}
local derived = setmetatable({}, {__index = base})
local obj = setmetatable({name = "bob"}, {__index = derived})
print(obj:greet(), obj.nope)
local ro = setmetatable({}, {__newindex = function() error("read only") end, __metatable = "locked"})
print(pcall(function() ro.x = 1 end)) print(getmetatable(ro), pcall(setmetatable, ro, {}))
print(getmetatable("x").__index == string, getmetatable({}), getmetatable(1), getmetatable(nil))
local chain = setmetatable({}, {__index = setmetatable({a=1}, {__index = setmetatable({b=2}, {__index = function(_, k) return "end " .. k end})})})
print(chain.a, chain.b, chain.c)
print(pcall(function() return setmetatable({}, {__lt = function() return true end}) < setmetatable({}, {__lt = function() return true end}) end))
print(pcall(function() return setmetatable({}, {__eq = function() return true end}) == setmetatable({}, {__eq = function() return true end}) end))
local le = {__lt = function(a, b) return a.v < b.v end}
print(setmetatable({v=1}, le) <= setmetatable({v=2}, le), setmetatable({v=2}, le) <= setmetatable({v=1}, le))
print(rawequal(a, new(1)), rawget(a, "x"), rawget(p, "zzz"))
local ni = {} local prox = setmetatable({}, {__newindex = ni}) prox.k = 7 print(rawget(prox, "k"), ni.k)
print(pcall(function() local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x end))
local calls = setmetatable({}, {__call = function(self, a, b) return a, b, self ~= nil end}) print(calls(1, 2)) print(pcall(calls, 3, 4))
local cc = setmetatable({}, {__index = function() error("idx") end}) print(pcall(function() return cc.x end))
print(pcall(function() return setmetatable({}, {__call = 1})() end))
print(("x"):rep(2), ("%d"):format(7), #"abc", ("abc").nope)
print(pcall(setmetatable, {}), pcall(setmetatable, {}, 1), setmetatable({}, nil) ~= nil)

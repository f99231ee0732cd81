local function sum(n) if n == 0 then return 0 end return n + sum(n - 1) end print(sum(100), sum(3000))
local function loop(n, acc) if n == 0 then return acc end return loop(n - 1, acc + 1) end print(loop(100000, 0))
local i = 0 while true do i = i + 1 if i > 5 then break end end print(i)
repeat local done = i > 7 i = i + 1 until done print(i)
for a = 1, 3 do for b = 1, 3 do if b == 2 then break end print(a, b) end end
local fns = {} for k = 1, 3 do fns[k] = function() k = k + 1 return k end end print(fns[1](), fns[1](), fns[2](), fns[3]())
local ws = {} local j = 0 while j < 3 do j = j + 1 local v = j ws[j] = function() v = v + 10 return v end end print(ws[1](), ws[1](), ws[2](), ws[3]())
local rs = {} local r = 0 repeat r = r + 1 local v = r rs[r] = function() return v end until v >= 3 print(rs[1](), rs[2](), rs[3]())
print(1 and 2, nil and 1, false or "x", nil or false, 1 or error("no"), not nil, not 0, nil == false)
print((function(...) return select("#", ...) end)(nil, nil, nil), (function() end)() == nil)
print(1 < 2 == true, not 1 == 2, -2 ^ 2, 2 ^ -1, "a" .. "b" == "ab", 1 .. 2 == "12", 2 * 3 + 4 * 5, (2 + 3) * 4, 7 - 2 - 1, 2 ^ 3 ^ 0)
local a, b, c = (function() return 1, 2, 3 end)() print(a, b, c)
local d, e = ((function() return 1, 2 end)()) print(d, e)
local t = {(function() return 1, 2 end)(), (function() return 1, 2 end)()} print(#t)
local print2 = function(...) return print("p2", ...) end print2(1)
local fact = function(n) return n end local f2 = function(n) return fact(n) + 1 end print(f2(3))
local outerf = "outer" local g = function() return outerf end local outerf = "shadow" print(g(), outerf)
do local x = 1 do local x = 2 print(x) end print(x) end
local function multi() return 1, 2, 3 end print(multi(), multi()) print((multi())) print(({multi(), multi()})[4], #{multi(), nil})
local s = 0 for k, v in pairs({1, 2, 3}) do s = s + v end print(s)
for k, v in next, {10, 20} do print(k, v) end
local function it(s, c) if c < s then return c + 1, c * 2 end end for x, y in it, 3, 0 do print(x, y) end
local n = 0 for _ in pairs({}) do n = n + 1 end print(n)
print(type(print), type(nil), type({}), type("x"), type(2), type(true), type(function() end))
local obj = {n = 0} function obj:inc(k) self.n = self.n + (k or 1) return self end print(obj:inc():inc(5).n) function obj.static(x) return x end print(obj.static(9)) obj.a = {b = {}} function obj.a.b.c(x) return x * 2 end function obj.a.b:d(x) return self == obj.a.b, x end print(obj.a.b.c(4), obj.a.b:d(5))
local str = "x" print(str:upper(), ("y"):rep(2), #str:rep(5)) print(("a"):byte() + 1)
if nil then print("no") elseif false then print("no") else print("else") end
if 0 then print("0 is true") end if "" then print("empty is true") end
local v = nil local w = v and v.x or "default" print(w) local z = false if not z and (v == nil or v.x) then print("ok") end
local big = {} for q = 1, 60 do big[#big + 1] = q end print(#big, big[51]) local lit = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60, x = 1, multi()} print(#lit, lit[51], lit[63])
print(#"a" + 1, -#"abc", not not nil, - -3) print(2 > 1 and "yes" or "no", nil and nil or 3, false == nil)
local function tail(...) return ... end print(tail(tail(1, 2), tail(3, 4))) print(select(2, tail("a", "b", "c")))
print(xpcall(function() error("E") end, function(m) return "H:" .. m end)) print(xpcall(function() return 1, 2 end, print)) print(xpcall(function() local x = nil; return x.y end, function(m) return m end))
print(pcall(pcall)) print(pcall(pcall, error, "x")) print(pcall(xpcall, 1, 2)) print(select("#", pcall(error)))
print(loadstring("return 1 + 1")()) print(loadstring("syntax error here") == nil) print(loadstring("return ...")(5, 6)) local parts = {"return ", "4", "2"} local pi = 0 print(load(function() pi = pi + 1 return parts[pi] end)()) print(pcall(loadstring("error('in chunk')"))) print(pcall(loadstring("error('named')", "=name"))) print(pcall(loadstring("local t = nil; t.x = 1", "@file.lua"))) print(pcall(loadstring("\n\nerror('line3')")))
print(os.time{year=2020, month=1, day=1, hour=0}, os.date("!%Y-%m-%d %H:%M:%S", 86400), os.date("!%a %A %b %B %d %j %p %y %U %w %W %c %x %X %%", 1e9), os.date("!*t", 3600).hour, os.difftime(5, 3), os.time{year=2021, month=14, day=-3, hour=5, min=70})

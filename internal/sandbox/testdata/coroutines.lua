local co = coroutine.create(function(a, b) print("start", a, b) local c = coroutine.yield(a + b) print("got", c) local d, e = coroutine.yield(c * 2) print("got", d, e) return "done", 99 end)
print(coroutine.status(co)) print(coroutine.resume(co, 1, 2)) print(coroutine.status(co)) print(coroutine.resume(co, 10)) print(coroutine.resume(co, "x", "y")) print(coroutine.status(co)) print(coroutine.resume(co)) 
local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
print(gen(), gen(), gen(), gen()) print(pcall(gen))
local function iter(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i, i * i) end end) end
for i, sq in iter(4) do print(i, sq) end
local bad = coroutine.create(function() error("oops") end) print(coroutine.resume(bad)) print(coroutine.status(bad)) print(coroutine.resume(bad))
local badt = coroutine.create(function() error({code = 5}) end) local ok, e = coroutine.resume(badt) print(ok, e.code)
print(coroutine.running() == nil or type(coroutine.running()))
local outer = coroutine.create(function() local inner = coroutine.create(function() coroutine.yield("inner") end) print(coroutine.resume(inner)) coroutine.yield("outer") print(coroutine.resume(inner)) print(coroutine.status(inner)) end)
print(coroutine.resume(outer)) print(coroutine.resume(outer)) print(coroutine.status(outer))
local self self = coroutine.create(function() print(coroutine.status(self), coroutine.running() == self) print(coroutine.resume(self)) end) coroutine.resume(self)
local A A = coroutine.create(function() local B = coroutine.create(function() print(coroutine.status(A)) print(coroutine.resume(A)) end) coroutine.resume(B) end) coroutine.resume(A)
local function producer() return coroutine.create(function() for _, v in ipairs{"a", "b", "c"} do coroutine.yield(v) end return nil end) end
local function consumer(p) local out = {} while true do local ok, v = coroutine.resume(p) if not v then break end out[#out+1] = v end return table.concat(out) end
print(consumer(producer()))
local w = coroutine.wrap(function(...) local n = select("#", ...) while true do n = n + select("#", coroutine.yield(n)) end end) print(w(1, 2), w(), w(nil), w(1, 2, 3))
print(select("#", coroutine.resume(coroutine.create(function() return nil, nil end))))
local permgen permgen = function(a, n) n = n or #a if n <= 1 then coroutine.yield(a) else for i = 1, n do a[n], a[i] = a[i], a[n] permgen(a, n - 1) a[n], a[i] = a[i], a[n] end end end
for p in coroutine.wrap(function() permgen{1,2,3} end) do print(table.concat(p, " ")) end
local x = 0 local cl = coroutine.wrap(function() while true do x = x + 1 coroutine.yield() end end) for i = 1, 5 do cl() end print(x)
local up = coroutine.create(function() local v = 1 local f = function() v = v + 1 return v end coroutine.yield(f) coroutine.yield(v) end) local _, f = coroutine.resume(up) print(f(), f()) print(select(2, coroutine.resume(up)))
print(pcall(coroutine.wrap(function() error("in wrap") end))) print(pcall(coroutine.wrap(function() local t = nil; return t.x end)))
print(coroutine.resume(coroutine.create(function() return pcall(function() error("caught") end) end)))
local many = {} for i = 1, 50 do many[i] = coroutine.wrap(function() local s = 0 for j = 1, 5 do s = s + j * i coroutine.yield(s) end end) end local total = 0 for j = 1, 5 do for i = 1, 50 do total = total + many[i]() end end print(total)
print(type(co), pcall(coroutine.resume, nil), pcall(coroutine.status, 1))

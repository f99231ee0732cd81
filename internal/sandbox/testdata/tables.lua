local t = {10, 20, 30}
table.insert(t, 40) table.insert(t, 1, 5) table.insert(t, 3, 15)
print(table.concat(t, ","), #t)
print(table.remove(t), table.remove(t, 1), table.remove(t, 2), table.concat(t, ","))
print(table.remove({}), table.remove({}, 1), table.remove({1,2,3}, 7), table.remove({1,2,3}, 0))
print(table.concat({}), table.concat({1}), table.concat({1,2}, "-"), table.concat({1,2,3}, ", ", 2), table.concat({1,2,3}, ", ", 2, 3), table.concat({1,2,3}, "x", 3, 2), table.concat({1, "a", 2.5}, " "))
print(pcall(table.concat, {1, nil, 3}, ",", 1, 3), pcall(table.concat, {{}}), pcall(table.concat, {1,2}, ",", 1, 3))
print(unpack({1,2,3})) print(unpack({1,2,3}, 2)) print(unpack({1,2,3}, 2, 3)) print(unpack({}, 1, 3)) print((unpack({1,2})))
print(select("#"), select("#", nil, nil), select(2, "a", "b", "c"), select(-1, "a", "b"), select(-2, "a", "b", "c"))
print(table.maxn({1,2,3}), table.maxn({[10]=1, [3.5]=2}), table.maxn({}), table.maxn({x=1}), table.getn({1,2,3}))
print(#{1,2,3}, #{}, #{nil}, #{n=3}, #{1,2,nil}, #"x")
local s = {5,2,8,1,9,3,7,4,6,10}
table.sort(s) print(table.concat(s, " "))
table.sort(s, function(a, b) return a > b end) print(table.concat(s, " "))
local w = {"pear", "apple", "fig", "banana", "Apple", "10", "9"}
table.sort(w) print(table.concat(w, " "))
local calls = {}
local r = {3,1,2,5,4,7,6,9,8}
table.sort(r, function(a, b) calls[#calls+1] = a .. "<" .. b return a < b end) print(table.concat(calls, " "))
print(pcall(table.sort, {1,2,3,4,5}, function() return true end))
print(pcall(table.sort, {3, "a", 1}), pcall(table.sort, {{}, {}}), pcall(table.sort, {nil, 1, 2}))
local mt = {__lt = function(a, b) return a.v < b.v end}
local objs = {}
for i, v in ipairs{3,1,2} do objs[i] = setmetatable({v=v}, mt) end
table.sort(objs) print(objs[1].v, objs[2].v, objs[3].v)
for i, v in ipairs({1, 2, nil, 4}) do print(i, v) end
local keys = {}
for k, v in pairs({a=1, b=2, 3, 4}) do keys[#keys+1] = tostring(k) .. "=" .. tostring(v) end
table.sort(keys) print(table.concat(keys, " "))
local d = {1,2,3,a=1,b=2}
for k in pairs(d) do d[k] = nil end
print(next(d), next({}), next({1}), type(next))
print(rawget({5}, 1), rawset({}, 1, 2)[1], rawequal(t, t), rawequal({}, {}), rawequal("a", "a"), rawequal(1, 1.0), rawequal(1, "1"))
local nested = {a={b={c=1}}, {1,{2}}}
print(nested.a.b.c, nested[1][2][1], nested["a"]["b"]["c"])
local f = {["x y"]=1, [1.5]=2, [true]=3, [false]=4}
print(f["x y"], f[1.5], f[true], f[false], f.nope)
local z = {[1]="a", [2]="b", "c"} print(z[1], z[2], #z)
local function va(...) local t = {...} return #t, select("#", ...), ... end
print(va()) print(va(1)) print(va(1, nil)) print(va(1, 2, 3)) print((va(1, 2)))
local function oldarg(...) return arg.n, arg[1] end print(oldarg(7, 8))
local big = {} for i = 1, 300 do big[i] = i end print(#big, select("#", unpack(big)), (select(300, unpack(big))))
local c = {va(1, 2), va(3)} print(#c, c[1], c[2])
local q = {} for i = 1, 10 do q[#q+1] = i end while #q > 5 do q[#q] = nil end print(#q) q[#q+1] = "x" print(#q, q[6])
local i, a = 1, {} i, a[i] = i+1, 20 print(i, a[1], a[2])
local x, y, zz = 1, 2 x, y = y, x print(x, y, zz)
local tt = {} tt, tt.x = {y=1}, 5 print(tt.x, tt.y)
local t1, t2 = {}, {} t1.a, t2.b, t1 = 1, 2, {z=9} print(t1.a, t1.z, t2.b)
local p = {1,2,3} p[1], p[2], p[3] = p[3], p[1], p[2] print(p[1], p[2], p[3])

-- a scheduler of coroutines, with errors and nesting
local ready, log = {}, {}
local function spawn(name, f, ...) local args, n = {...}, select("#", ...) ready[#ready + 1] = {name = name, co = coroutine.create(function() return f(unpack(args, 1, n)) end)} end
local function run() local turns = 0 while #ready > 0 do local t = table.remove(ready, 1) local ok, v = coroutine.resume(t.co) turns = turns + 1 if not ok then log[#log + 1] = t.name .. " failed: " .. tostring(v) elseif coroutine.status(t.co) ~= "dead" then log[#log + 1] = t.name .. ":" .. tostring(v) ready[#ready + 1] = t else log[#log + 1] = t.name .. " done " .. tostring(v) end end return turns end
spawn("a", function(n) for i = 1, n do coroutine.yield(i) end return "A" end, 3)
spawn("b", function() coroutine.yield("x") error("boom") end)
spawn("c", function(...) coroutine.yield(select("#", ...)) local inner = coroutine.wrap(function() for i = 1, 2 do coroutine.yield(i * 10) end end) coroutine.yield(inner() + inner()) return inner() end, 1, nil, nil)
spawn("d", function() local t = setmetatable({}, {__index = function(_, k) return k .. "?" end}) coroutine.yield(t.foo) for w in ("p q"):gmatch("%a") do coroutine.yield(w) end end)
print(run()) for _, l in ipairs(log) do print(l) end
local function walk(t, depth) depth = depth or 0 return coroutine.wrap(function() local function go(n, d) coroutine.yield(n.v, d) for _, k in ipairs(n) do go(k, d + 1) end end go(t, depth) end) end
for v, d in walk({v = "root", {v = "l", {v = "ll"}}, {v = "r"}}) do print(("  "):rep(d) .. v) end
local function zip(a, b) local x, y = coroutine.wrap(function() for _, v in ipairs(a) do coroutine.yield(v) end end), coroutine.wrap(function() for _, v in ipairs(b) do coroutine.yield(v) end end) return function() local p, q = x(), y() if p and q then return p, q end end end
for p, q in zip({1, 2, 3}, {"a", "b"}) do print(p, q) end
local co co = coroutine.create(function(...) local got = {...} while true do got = {coroutine.yield(#got, unpack(got))} if got[1] == "stop" then return "stopped", #got end end end)
print(coroutine.resume(co, 1, 2)) print(coroutine.resume(co)) print(coroutine.resume(co, "x", "y", "z")) print(coroutine.resume(co, "stop", 1)) print(coroutine.resume(co)) print(coroutine.status(co))

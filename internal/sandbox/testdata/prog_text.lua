local function split(s, sep) local out = {} for piece in (s .. sep):gmatch("(.-)" .. sep:gsub("%p", "%%%0")) do out[#out + 1] = piece end return out end
print(table.concat(split("a,b,,c", ","), "|"), #split("", ","), table.concat(split("1.2.3", "."), "|"))
local function trim(s) return (s:gsub("^%s+", ""):gsub("%s+$", "")) end print("[" .. trim("  x y ") .. "]", "[" .. trim("") .. "]")
local function starts(s, p) return s:sub(1, #p) == p end print(starts("hello", "he"), starts("h", "he"))
local template = "Hello ${name}, you are ${age} years; ${missing}" print((template:gsub("%${(%w+)}", {name = "Bob", age = 42})))
print((template:gsub("%${(%w+)}", function(k) return k == "missing" and "?" or k:upper() end)))
local counts, words = {}, {} for w in ("the cat and the dog and the bird"):gmatch("%a+") do if not counts[w] then words[#words + 1] = w end counts[w] = (counts[w] or 0) + 1 end table.sort(words, function(a, b) if counts[a] ~= counts[b] then return counts[a] > counts[b] end return a < b end) for _, w in ipairs(words) do print(w, counts[w]) end
local ini = "[server]\nhost = localhost\nport=8080\n; comment\n[db]\nname = x y\n" local section, conf = nil, {} for line in ini:gmatch("[^\n]+") do local s = line:match("^%[(.-)%]$") if s then section = s conf[s] = {} elseif not line:match("^;") then local k, v = line:match("^(%w+)%s*=%s*(.-)%s*$") conf[section][k] = tonumber(v) or v end end print(conf.server.host, conf.server.port + 1, conf.db.name)
print(("image:tag"):match("^(.-):([^:/]*)$")) print(("host:5000/img"):match("^(.-):([^:/]*)$")) print(("a.b.c/d/e:1.2-rc_3"):match("([^/]+)$"), ("x=1&y=2"):gsub("(%w)=(%w)", "%2=%1"))
print(("%5.1f|%-8s|%03d|%x"):format(3.14159, "ab", 7, 255), ("%q"):format("a\nb\"c\\"), ("%s=%s"):rep(2, "&"):format(1, 2, 3, 4))
local caesar = function(s, k) return (s:gsub("%a", function(c) local b = c:match("%l") and 97 or 65 return string.char((c:byte() - b + k) % 26 + b) end)) end print(caesar("Hello, World!", 3), caesar(caesar("Hello", 5), -5))
local wrap = function(s, n) local out, line = {}, "" for w in s:gmatch("%S+") do if #line + #w + 1 > n and line ~= "" then out[#out + 1] = line line = w else line = line == "" and w or line .. " " .. w end end out[#out + 1] = line return table.concat(out, "\n") end print(wrap("the quick brown fox jumps over the lazy dog", 15))
print(("abc"):gsub(".", {a = 1, b = true, c = false})) print(pcall(string.gsub, "abc", ".", {b = {}}))
print(("2024-01-15T10:30:00Z"):match("^(%d+)%-(%d+)%-(%d+)T(%d+):(%d+):(%d+)Z$")) print(tostring(12345.678):reverse():gsub("(%d%d%d)", "%1,"))
for k, v in ("a=1;b=2;c=3"):gmatch("(%w)=(%w)") do print(k, v) end

print(("hello"):upper(), ("HeLLo"):lower(), ("abc"):reverse(), ("abc"):len(), ("ab"):rep(3), ("ab"):rep(0), ("ab"):rep(-1))
print(("hello"):sub(2), ("hello"):sub(2,3), ("hello"):sub(-3), ("hello"):sub(-3,-2), ("hello"):sub(0), ("hello"):sub(10), ("hello"):sub(3,2), ("hello"):sub(-100, 100))
print(("hello"):byte(), ("hello"):byte(2), ("hello"):byte(1,3), ("hello"):byte(-1), ("hello"):byte(10), ("hello"):byte(0))
print(string.char(72, 105), string.char(), #string.char(0,1,2))
print(("x"):rep(3, ","))
print(("héllo"):upper(), ("ÀÉ"):lower())
print(("hello world"):find("wor"), ("hello"):find("l"), ("hello"):find("l", 4), ("hello"):find("xyz"), ("hello"):find(""), ("hello"):find("", 10), ("hello"):find("", 6))
print(("a.b"):find(".", 1, true), ("a+b"):find("+", 1, true), ("a.b"):find("%."), ("hello"):find("l", -2), ("hello"):find("h", -100))
print(("hello"):match("l+"), ("hello"):match("(h)(e)"), ("hello"):match("()ll()"), ("key = value"):match("^(%w+)%s*=%s*(%w+)$"))
print(("abc"):gsub("b", "X"), ("abc"):gsub("", "-"), ("hello world"):gsub("o", "0", 1), ("abc"):gsub("%w", "%0%0"), ("abc"):gsub("(a)(b)", "%2%1"))
print(("hello"):gsub("l", {l="L"}), ("hello"):gsub("l", {}), ("hello"):gsub(".", function(c) if c == "l" then return "1" end end))
print(("hello"):gsub("(l)(l)", function(a, b) return a .. "-" .. b end), ("abc"):gsub("b", "%%"), ("x"):gsub("x", false and 1 or "y"))
print(pcall(string.gsub, "abc", "b", "%2"), pcall(string.gsub, "abc", "(", "x"), pcall(string.gsub, "abc", "%", "x"), pcall(string.gsub, "a", "[a", "x"))
print(pcall(string.gsub, "abc", "b", true), pcall(string.gsub, "abc", "b", function() return {} end))
for w in ("one two  three"):gmatch("%a+") do print(w) end
for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do print(k, v) end
for p in ("abc"):gmatch("()") do print(p) end
for w in ("abc"):gmatch("") do print("[" .. w .. "]") end
for w in ("^a^a"):gmatch("^a") do print(w) end
print(("THE (quick) fox"):find("%((%a+)%)"), ("f(a(b)c)d"):match("%b()"), ("THE quick"):gsub("%f[%a]%a+", "X"), ("[[x]]"):match("%[%[(.-)%]%]"))
print(("  trim  "):match("^%s*(.-)%s*$") .. "|", ("a,b,,c"):gsub(",", ";"), ("x=1"):match("^(.-)=(.*)$"))
print(("abc123"):match("%a+"), ("abc123"):match("%d+"), ("abc123"):match("[a-c]+"), ("abc123"):match("[^a-c]+"), ("a-b"):match("[a%-]+"), ("]"):match("[]]"), ("^"):match("[%^]"))
print(("%d"):gsub("%%d", "x"), ("a\0b"):find("\0", 1, true), ("a\0b"):match("%z"), ("a\0b"):len(), ("a\0b"):gsub("%z", "0"))
print(("hello"):match(".-"), ("hello"):match(".-$"), ("hello"):match("h.-o"), ("aaa"):match("a-b"), ("aaab"):match("a-b"), ("aXb"):match("%u"), ("ab12"):match("%w*"), ("a"):match("a?a?a"))
print(("xyxy"):match("(x)(y)%1%2"), ("abab"):match("(ab)%1"), pcall(string.match, "a", "%1"), pcall(string.match, "a", "(a"), pcall(string.match, "a", "a)"), pcall(string.find, "a", "[]"), pcall(string.find, "a", "%f"))
print(string.format("%d %i %5d|%-5d|%05d|%+d|% d", 1, 2, 3, 4, 5, 6, 7), string.format("%x %X %#x %o %#o", 255, 255, 255, 8, 8))
print(string.format("%f %.2f %10.3f|%-10.3f|%e %E %g %G", 1.5, 1.234, 3.14159, 2.71828, 12345.678, 0.00012, 1e20, 1e-10))
print(string.format("%s %10s|%-10s|%.2s", "a", "b", "c", "defg"), string.format("%c%c", 65, 66), string.format("%%"), string.format("%q", 'a"b\\c\nd\0e\r'))
print(string.format("%s %s", 1, 1.5), string.format("%d", "10"), string.format("%d", 3.99), string.format("%d", -3.99), string.format("%u", 42), string.format("%5.1f|%+.3e", 3.14159, 12345.6789))
print(string.format("%5s|%5s", 1, "ab"), string.format("%.3d|%5.3d|%-5.3d|", 5, 5, 5), string.format("%+5d|% 5d", 3, 3), string.format("%#.3g|%#g", 1, 2), string.format("%.0f", 0.5), string.format("%.0f", 1.5))
print(string.format("%g %g %g %g", 100000, 1000000, 1e15, 0.0001), string.format("%.3g|%.10g", 1234567, 0.1), string.format("%g %g", 1/0, -1/0), string.format("%5.1f|%05f", 1/0, -1/0), string.format("%x", -1))
print(pcall(string.format, "%", 1), pcall(string.format, "%-----d", 1), pcall(string.format, "%------d", 1), pcall(string.format, "%123d", 1), pcall(string.format, "%.123d", 1), pcall(string.format, "%s"), pcall(string.format, "%s", nil), pcall(string.format, "%s", {}), pcall(string.format, "%a", 1))
print(string.format("%s", ("x"):rep(120)) == ("x"):rep(120), #string.format("%99d", 1), string.format("%c", 0) == "", string.format("%10c|", 65), string.format("%-3c|", 66))
print(#string.format("%q", ("\0"):rep(3)), ("a"):rep(3):gsub("a", "%0%0"), ("abc"):find("b", nil), ("abc"):find("(b)()"))
print(tostring("x"), tostring(nil), tostring(true), ("x" .. 1) .. 2.5, 1 .. "")
print(("x"):rep(2.7), ("abcdef"):sub(2.9, 4.2), ("abcdef"):sub("2", "4"))
print(("a b c"):gsub(" ", "", 1), ("abc"):gsub("", "", 2), ("aaa"):gsub("a", "b", 0), ("aaa"):gsub("a", "b", -1), ("abc"):gsub("^a", "x"), ("aaa"):gsub("^a", "x"), ("abc"):gsub("c$", "x"), ("a$c"):gsub("$c", "x"))
print(("hello"):find("(l)(l)"), ("äö"):len(), ("a,b"):find(",", 1, true), ("x"):find("x", 2), ("x"):find("", 2), ("x"):find("", 3))
print(#("\a\b\f\n\r\t\v\\\"\'"), "\65\066\10x", "a\
b", [[long
string]], [==[a]]b]==], [[
skip]])
local function two() return "p", "q" end
print("x" .. two(), two() .. "x", (two()) .. two() .. two(), (function(...) return "v" .. ... end)("a", "b"))
print(7 % (function() return 4, 5 end)(), (function(...) return 7 % ... end)(4, 5))

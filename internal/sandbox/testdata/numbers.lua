print(1e15, 1e14, 1e100, 0.1, 1/3, 2^53, 2^53+1, 123456789012345, 1e16, 0/0, -(0/0), 1/0, -1/0)
print(100, 1e2, 10/2, 3.0, -3.5, 1e-5, 0.0001, 123.456e10)
print(10 % 3, -10 % 3, 10 % -3, -10 % -3, 5.5 % 2, -5.5 % 2, 5 % 5)
print(2^10, 2^0.5, 2^-1, -2^2, (-2)^2, 2^3^2)
print("10" + 5, "0x10" + 0, " 10 " * 2, "1e2" + 0, "010" + 0, -"2", "3" ^ "2", "7" % "4")
print(tonumber("0x"), tonumber("1e"), tonumber(""), tonumber(" "), tonumber("0x1F"), tonumber("1_000"), tonumber("0b1"), tonumber("0o7"))
print(tonumber("  12  "), tonumber("1 2"), tonumber("1e1"), tonumber(".5"), tonumber("5."), tonumber("."), tonumber("+7"), tonumber("- 7"))
print(tonumber("ff", 16), tonumber("zz", 36), tonumber("8", 8), tonumber("777", 8), tonumber("-ff", 16), tonumber("1010", 2), tonumber("0x1f", 16))
print(tonumber("1e999"), tonumber("-1e999"), tonumber("inf"), tonumber("nan"), tonumber("0x1p4"), tonumber("infinity"), tonumber("INF"))
print(tonumber(nil), tonumber({}), tonumber(true), tonumber("abc"))
print(0x10, 0xff, 1e3, .5, 3., 0010, 08)
print(10 .. 20, 1.5 .. "", 0 .. "")
print(1 == 1.0, "1" == 1, 0/0 == 0/0)
print(1 < 2, 1 <= 1, 2 > 1, "a" < "b", "a" < "B", "Z" < "a", "" < "a", "a\0b" < "a\0c")
print(math.floor(3.7), math.floor(-3.7), math.ceil(3.2), math.ceil(-3.2), math.abs(-4), math.sqrt(16), math.huge, -math.huge)
print(math.max(1, 5, 3), math.min(4, 2, 8), math.fmod(7, 3), math.fmod(-7, 3), math.modf(3.7), math.modf(-3.7))
print(math.frexp(8), math.ldexp(0.5, 4), math.pi, math.deg(math.pi), math.rad(180), math.log(1), math.exp(0), math.log10(1000))
print(math.modf(1/0), math.modf(-1/0), math.pow(2, 8), math.cosh(0), math.atan2(1, 1))

for i = 1, 3 do print(i) end
for i = 3, 1, -1 do print(i) end
for i = 0, 1, 0.25 do print(i) end
for i = 1, 0 do print("never") end
print(tostring(1e15), tostring(-1e15), tostring(123456.789), tostring(1e300*1e10))
print(string.format("%.14g %.17g %g", 0.1, 0.1, 0.1))
print(#"abc", #"", #"a\0b")


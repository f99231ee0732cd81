local function f(x)
  if x then
    return 1
  else
    fail("no")
  end
  print("never") --> 3 W203 this is never reached
end
f(1)
local function g(x)
  do return x end
  print(1) --> 3 W203 this is never reached: line 11 does not go on
  print(2)
end
g(1)
while true do
  if g(1) then break end
end
for _, i in ipairs({1}) do
  if i == 1 then goto continue end
  print(i)
  ::continue::
end
if g(2) then error("x") end
local function error2() error("x") end
error2()
while true do sleep("1s") end
print("end") --> 1 W203 this is never reached

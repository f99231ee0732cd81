local function class(base)
  local c = {} c.__index = c
  if base then setmetatable(c, {__index = base}) end
  c.new = function(...) local o = setmetatable({}, c) if o.init then o:init(...) end return o end
  c.is = function(o) local m = getmetatable(o) while m do if m == c then return true end local mm = getmetatable(m) m = mm and mm.__index end return false end
  return c
end
local Animal = class() function Animal:init(name, sound) self.name, self.sound = name, sound end
function Animal:speak() return self.name .. " says " .. self.sound end
Animal.__tostring = function(a) return "<" .. a.name .. ">" end Animal.__eq = function(a, b) return a.name == b.name end
local Dog = class(Animal) function Dog:init(name) Animal.init(self, name, "woof") self.tricks = {} end
Dog.__tostring = Animal.__tostring Dog.__concat = function(a, b) return tostring(a) .. tostring(b) end Dog.__lt = function(a, b) return #a.tricks < #b.tricks end Dog.__len = nil
function Dog:learn(...) for i = 1, select("#", ...) do self.tricks[#self.tricks + 1] = (select(i, ...)) end return self end
local rex, fido = Dog.new("rex"):learn("sit", "roll"), Dog.new("fido")
print(rex:speak(), tostring(rex), rex .. fido, rex .. "!", "!" .. rex, rex < fido, fido < rex, Animal.is(rex), Dog.is(Animal.new("x", "y")), table.concat(rex.tricks, "+"))
print(pcall(function() return rex:fly() end)) print(pcall(function() return rex + 1 end)) print(Animal.new("a", "b") == Animal.new("a", "c"), rex == fido)
local Stack = class() function Stack:init() self.n = 0 end function Stack:push(...) for _, v in ipairs({...}) do self.n = self.n + 1 self[self.n] = v end end function Stack:pop() if self.n == 0 then error("empty stack", 2) end local v = self[self.n] self[self.n] = nil self.n = self.n - 1 return v end
local s = Stack.new() s:push(1, 2, 3) print(s:pop(), s:pop(), s:pop()) print(pcall(s.pop, s)) print(pcall(function() s:pop() end))

local turnID, joinID, copyID
do
  local error, type, rawget, tostring, select, setmetatable = error, type, rawget, tostring, select, setmetatable
  local call, rep, gsub, find, format, concat, encode = redis.call, string.rep, string.gsub, string.find, string.format, table.concat, cjson.encode
  local most, n = 2^22, 0
  local function refuse(what) error("not modelled: a script " .. what) end
  local function long(size) if size > most then refuse("with a text of more than 4 MiB") end end
  local function size(v) if type(v) == "string" then return #v end return 32 end
  function turnID() n = n + 1 if n > TURNS then refuse("of more than TURNS turns") end if n % 8 == 0 then call("LOOK") end end
  local part = {__concat = function(a, p) turnID() local b = p[1] long(size(a) + size(b)) return a .. b end}
  joinID = setmetatable({}, {__concat = function(_, b) return setmetatable({b}, part) end})
  string.rep = function(s, k) long(size(s) * (tonumber(k) or 0)) return rep(s, k) end
  string.format = function(f, ...)
    local sum = size(f)
    for i = 1, select("#", ...) do sum = sum + size((select(i, ...))) end
    long(sum)
    if type(f) == "string" and (find(f, "%%[-+ #0]*%d%d%d") or find(f, "%%[-+ #0]*%d*%.%d%d%d")) then error("invalid format (width or precision too long)") end
    return format(f, ...)
  end
  string.gsub = function(s, pattern, by, ...)
    if size(s) > 2^16 or size(by) > 2^10 then refuse("that replaces in long texts") end
    local sum, f = 0, by
    if type(by) == "table" then f = function(k) return by[k] end end
    if type(f) == "function" then
      local each = f
      f = function(...) turnID() local v = each(...) sum = sum + size(v) long(sum) return v end
    end
    return gsub(s, pattern, f, ...)
  end
  table.concat = function(t, sep, i, j)
    local sum, k, last = 0, i or 1, j or #t
    while k <= last do
      local v = t[k]
      if type(v) ~= "string" and type(v) ~= "number" then break end
      sum = sum + size(v) + size(sep or "")
      long(sum)
      k = k + 1
    end
    return concat(t, sep, i, j)
  end
  local function weigh(v, sum)
    turnID()
    sum = sum + size(v)
    long(sum)
    if type(v) == "table" then for k, x in pairs(v) do sum = weigh(x, sum + size(k)) end end
    return sum
  end
  cjson.encode = function(v) weigh(v, 0) return encode(v) end
  local returned = 0
  function copyID(v, depth)
    turnID()
    local t = type(v)
    if t == "function" or t == "thread" or t == "userdata" then return false end
    returned = returned + size(v)
    if returned > 4 * most then refuse("that returns more than 16 MiB") end
    if t ~= "table" then return v end
    if depth > 100 then error("reached lua stack limit") end
    local err, ok = rawget(v, "err"), rawget(v, "ok")
    if err ~= nil or ok ~= nil then return {err = err, ok = ok} end
    local out, i = {}, 1
    while true do
      local x = v[i]
      if x == nil then return out end
      out[i] = copyID(x, depth + 1)
      i = i + 1
    end
  end
  for _, name in ipairs({"load", "loadstring", "loadfile", "dofile", "require", "module", "package", "print", "newproxy"}) do _G[name] = nil end
end
return copyID((function(...) 
local function encode(v, indent)
  local t = type(v)
  if t == "string" then return '"' .. v:gsub('[%c"\\]', function(c) return string.format("\\u%04x", c:byte()) end) .. '"' end
  if t == "number" or t == "boolean" or t == "nil" then return t == "nil" and "null" or tostring(v) end
  if #v > 0 then local out = {} for i, x in ipairs(v) do out[i] = encode(x) end return "[" .. table.concat(out, ",") .. "]" end
  local keys = {} for k in pairs(v) do keys[#keys + 1] = k end table.sort(keys)
  for i, k in ipairs(keys) do keys[i] = encode(k) .. ":" .. encode(v[k]) end
  return "{" .. table.concat(keys, ",") .. "}"
end
local function decode(s)
  local pos = 1
  local value
  local function skip() pos = s:find("%S", pos) or #s + 1 end
  local function fail(what) error(what .. " at " .. pos, 0) end
  local function str() local out, i = {}, pos + 1 while true do local c = s:sub(i, i) if c == "" then fail("unterminated string") elseif c == '"' then pos = i + 1 return table.concat(out) elseif c == "\\" then out[#out + 1] = ({n = "\n", t = "\t"})[s:sub(i + 1, i + 1)] or s:sub(i + 1, i + 1) i = i + 2 else out[#out + 1] = c i = i + 1 end end end
  return pos, skip, fail, str
end
print(encode({a = 1, b = {1, 2, {c = "x\"y\n"}}, d = true, e = {}, f = 1.5, g = -3, h = 1e20}))

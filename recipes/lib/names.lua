-- Checks what becomes a key, a label or a container's name, before anything is done: a
-- wrong one would hide a release, or clash with someone else's.
local M = {}

local function wrong(what, text, why, hint)
  fail(what .. ": " .. (text == "" and "it is empty" or "\"" .. text:gsub("%c", "?"):sub(1, 80) .. "\" " .. why), {kind = "invalid_argument", hint = hint})
end

-- Returns a host as routers look it up, in lower case: a name, an address, or *.NAME for
-- everything below. Returns nil for anything else.
function M.as_host(text)
  local plain = text:lower():gsub("%.$", "")
  local a = net.parse((plain:gsub("^%*%.", "")))
  if a and a.scheme == "" and a.port == 0 and plain:sub(1, 1) ~= "[" then return plain end
end

-- As M.as_host, but raises when `text` is not a host.
function M.host(text)
  local host = M.as_host(text)
  if not host then wrong("host", text, "is not a host", "write the name alone, such as shop.example.com: no http://, no port, no path") end
  return host
end

-- Checks the name of an application: containers are named after it.
function M.app(text)
  if not text:match("^%w[%w_.-]*$") or #text > 100 then
    wrong("app", text, "is not an application's name", "use letters, digits, _, . and -, the first a letter or a digit")
  end
  return text
end

-- Checks the identifier of a routing list, its first item.
function M.identifier(text)
  if not text:match("^[%w_.@-][%w_.@ -]*$") or #text > 200 then
    wrong("identifier", text, "is not an identifier", "use letters, digits, _, ., @ and -: it comes before the backends")
  end
  return text
end

-- Checks where routers reach an engine: an address or a name, without a port, or nothing.
function M.advertise(text)
  if text == "" then return "" end
  local a = net.parse(text)
  if not a or a.scheme ~= "" or a.port ~= 0 then
    wrong("advertise", text, "is not an address", "write the address or the name alone, such as 10.0.0.5 or ::1: the engine chooses the port")
  end
  return a.host
end

return M

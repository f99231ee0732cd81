-- Notes what is deployed, unless it is noted already.
local p = params{
  url = {required = true, doc = "where it is noted"},
  text = {required = true, doc = "what is noted"},
}

if NAME.get(p.url) ~= p.text then
  NAME.put(p.url, p.text)
end

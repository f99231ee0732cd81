print("fine")
local x = = 1 --> 11 E001 syntax error near "="

print("fine")
local x = = 1 --> 11 E001 unexpected symbol near '='

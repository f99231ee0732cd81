local frontend = require("lib.frontend")
local own = require("lib.own")
local gone = require("lib.gone") --> 22 E108 no file lib/gone.lua beside the recipe or in the library
local p = params{
  image = {required = true, doc = "what to deploy"},
  drain = {type = "duration", default = "2s"}, --> 3 W205 the parameter drain is declared and not used
}
print(p.image, p.imgae, gone) --> 18 E107 params{} declares no imgae; did you mean "image"?
frontend.swich() --> 10 E108 lib.frontend exports no "swich"; did you mean "switch"?
print(frontend.key("x"), own.a, own.b(), own.c, own.d, own.e) --> 60 E108 lib.own exports no "e"

on.image{name = "mepc/app:*"} --> 1 E110 on.image comes after params{} of line 4

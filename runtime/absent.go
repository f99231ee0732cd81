package runtime

// absent are names that other Luas have and recipes have not, with what to use
// instead. A name with a dot is a member of a library.
var absent = map[string]string{
	"io":             "a recipe has no files but those beside it (fs.read), and writes by print and log",
	"os.getenv":      "env(name) reads what the operator passes on with --env, secret(name) what is secret",
	"os.execute":     "a recipe runs no programs on this machine; docker.exec runs one in a container",
	"os.exit":        "return ends a recipe, error(message) fails it",
	"os.remove":      "a recipe changes no files on this machine",
	"os.rename":      "a recipe changes no files on this machine",
	"os.tmpname":     "a recipe writes no files on this machine",
	"os.setlocale":   "text is UTF-8, and numbers have a point, everywhere",
	"dofile":         "require \"lib.name\" runs lib/name.lua once",
	"loadfile":       "require \"lib.name\" runs lib/name.lua once",
	"module":         "a file that is required returns a table: local M = {} ... return M",
	"package":        "require finds files beside the recipe and in the library; its path cannot be changed",
	"getfenv":        "functions have no environments here; pass a table",
	"setfenv":        "functions have no environments here; pass a table",
	"collectgarbage": "memory is collected by itself; --max-heap is its limit",
	"gcinfo":         "memory is collected by itself; --max-heap is its limit",
	"newproxy":       "setmetatable({}, meta) makes an object",
	"string.dump":    "functions are not written as bytes; keep their source",
	"string.gfind":   "string.gmatch",
	"table.foreach":  "for k, v in pairs(t) do ... end",
	"table.foreachi": "for i, v in ipairs(t) do ... end",
	"table.setn":     "#t follows from what is in t",
	// Of later Luas, and of other languages.
	"rawlen":       "#t, for a table without __len",
	"table.pack":   "{n = select(\"#\", ...), ...}",
	"table.unpack": "unpack(t)",
	"table.move":   "a for loop copies elements",
	"utf8":         "strings are bytes: gmatch(\"[%z\\1-\\127\\194-\\244][\\128-\\191]*\") finds the characters",
	"bit":          "numbers have no bits here: math.floor, % and powers of two do it",
	"bit32":        "numbers have no bits here: math.floor, % and powers of two do it",
	"jit":          "this is no LuaJIT",
	"ffi":          "this is no LuaJIT",
	"arg":          "params{} declares what a recipe is given",
	"null":         "nil, or json.null within JSON",
	"undefined":    "nil",
	"None":         "nil",
	"True":         "true",
	"False":        "false",
}

// Absent returns what to use in place of a name that other Luas have and recipes have
// not, such as io or os.getenv, or "".
func Absent(name string) string { return absent[name] }

package recipes

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Library describes a file of the library. The description comes from the comments above
// its functions and from the tags ---@class, ---@field and ---@return, which editors also
// read.
type Library struct {
	Name   string // as it is required: lib.deployment
	Doc    string
	Class  string // the name of its objects' class; empty: it has none
	Fields []LibraryField
	Funcs  []LibraryFunc
}

// LibraryField is a field of a library's objects.
type LibraryField struct{ Name, Type, Doc string }

// LibraryFunc is a function of a library, or a method of its objects.
type LibraryFunc struct {
	Name    string
	Method  bool
	Params  string // as declared
	Returns string // the class of the object that it returns, if any
	Doc     string
}

var (
	declared = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^function M([.:])(\w+)\(([^)]*)\)`) })
	tagged   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^---@(class|field|return) (\S+) ?(\S*) ?(.*)$`) })
)

// Read reads the source of a library that is required as name.
func Read(name, source string) Library {
	l := Library{Name: name}
	var doc []string
	returns, first := "", true
	for line := range strings.Lines(source) {
		line = strings.TrimSuffix(line, "\n")
		tag := tagged().FindStringSubmatch(line)
		fn := declared().FindStringSubmatch(line)
		switch {
		case tag != nil && tag[1] == "class":
			l.Class = tag[2]
		case tag != nil && tag[1] == "field":
			l.Fields = append(l.Fields, LibraryField{tag[2], tag[3], tag[4]})
		case tag != nil:
			returns = tag[2]
		case strings.HasPrefix(line, "--"):
			doc = append(doc, strings.TrimPrefix(strings.TrimPrefix(line, "--"), " "))
		default:
			if first {
				l.Doc, first = strings.Join(doc, "\n"), false
			}
			if fn != nil {
				l.Funcs = append(l.Funcs, LibraryFunc{Name: fn[2], Method: fn[1] == ":", Params: fn[3], Returns: returns, Doc: strings.Join(doc, "\n")})
			}
			doc, returns = nil, ""
		}
	}
	return l
}

// Libraries returns the libraries that ship with mepc-run, sorted by name.
func Libraries() []Library {
	files, _ := fs.Glob(FS, "lib/*.lua") // the pattern is right
	var all []Library
	for _, file := range files {
		text, err := fs.ReadFile(FS, file)
		name := strings.TrimSuffix(strings.ReplaceAll(file, "/", "."), ".lua")
		if l := Read(name, string(text)); err == nil && len(l.Funcs) > 0 {
			all = append(all, l)
		}
	}
	return all
}

// Has reports whether objects of the library have a field or a method of that name.
func (l *Library) Has(name string) bool { return slices.Contains(l.Names(), name) }

// Names returns the fields and methods of the library's objects.
func (l *Library) Names() []string {
	var names []string
	for _, f := range l.Fields {
		names = append(names, f.Name)
	}
	for _, f := range l.Funcs {
		if f.Method {
			names = append(names, f.Name)
		}
	}
	return names
}

// Func returns the function of that name, or nil.
func (l *Library) Func(name string) *LibraryFunc {
	for i := range l.Funcs {
		if l.Funcs[i].Name == name {
			return &l.Funcs[i]
		}
	}
	return nil
}

// Field returns the field of that name, or nil.
func (l *Library) Field(name string) *LibraryField {
	for i := range l.Fields {
		if l.Fields[i].Name == name {
			return &l.Fields[i]
		}
	}
	return nil
}

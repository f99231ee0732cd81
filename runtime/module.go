package runtime

import (
	"reflect"
	"time"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// Module is a set of functions that recipes reach under one global name. It is
// the single source for the argument decoder, the reference, the editor stubs
// and the linter.
type Module struct {
	Name  string // the Lua global, such as "docker"; empty puts the functions themselves into the globals
	Doc   string // one paragraph; its first sentence stands in lists
	Self  any    // what the functions of Funcs get as their receiver; or a *Receiver, which makes one for each run
	Funcs []Func
	Types []Type
	// Instead says what to write in place of functions of other tools that people try, by
	// their names.
	Instead map[string]string
	// Requires are further names by which require returns the module.
	Requires []string
	// UTF8 says that the strings its functions take end up in JSON, which has no other
	// bytes: those that are not UTF-8 are refused. A []byte takes any.
	UTF8 bool
	// Words, when set, is asked for functions in place of Funcs, which are then for
	// documentation. Names may be of several words: assert.is_not.equal is
	// "is_not.equal". No function and no error means that path is the beginning of
	// such names.
	Words func(path string) (*Func, error)
}

// Words is a table of functions with names of several words: see Module.Words.
type Words struct {
	Name string // for messages
	Self any    // the functions' receiver
	Find func(path string) (*Func, error)
}

// Type is a kind of object that functions return and take, such as a
// connection. In Lua it is a value with methods, called with a colon. Fields of
// the Go struct that have a lua tag can be read as x.name; a method with an empty
// name makes the object one that can be called.
type Type struct {
	Name  string // such as "docker.engine"
	Doc   string
	Of    any    // a nil pointer of the Go type behind it, such as (*Engine)(nil)
	Funcs []Func // its methods
	// Method, when set, is asked for methods that Funcs does not have. An error
	// is raised in the recipe.
	Method func(name string) (*Func, error)
	Names  []string // those that Method has, for documentation
}

// Func is one function or method.
type Func struct {
	Name    string // empty: the module itself can be called
	Class   Class  // what it can do to the world; Pure functions do not pass the gate
	Doc     string // what it does; first sentence in lists
	From    string // where the behaviour comes from, such as "POST /containers/{id}/start" or "LINSERT"
	Returns string // what it returns, in words; the type is read from the Go function
	Raises  []Kind
	Example string        // Lua, tried by a test
	Early   bool          // it calls Call.Declare: it comes before params{}
	Colon   bool          // it is called with a colon, and does not get the module: say:set(...)
	Value   bool          // of Words: reading it calls it, and gives the result: match._
	Timeout time.Duration // bounds a call whose arguments say nothing else; 0: one minute
	Call    Caller
}

// Class says what a call can do to the world.
type Class = effect.Class

// The classes of functions.
const (
	Pure        = effect.Pure
	Read        = effect.Read
	Write       = effect.Write
	Destructive = effect.Destructive
)

// Kind classifies an error: see Kinds for what each means.
type Kind = failure.Kind

// Error is the error that modules return and recipes catch.
type Error = failure.Error

// Fields returns what can be read of an object, for documentation.
func (t *Type) Fields() []Field {
	if el := elem(t.goType()); isTable(el) {
		return fieldsOf(el)
	}
	return nil
}

// goType returns the Go type that the objects of t have.
func (t *Type) goType() reflect.Type { return reflect.TypeOf(t.Of) }

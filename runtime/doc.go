// Package runtime runs Lua recipes. A Host has a set of modules and compiles
// recipes; Host.Run runs one in a Lua state of its own, whose environment is
// built from nothing: a recipe reaches only what a module hands it. Everything
// that it does to the world passes one gate, which numbers it, shows it to
// sinks and guards, and decides what an error means.
//
// Start with New and Host.Run to embed recipes in a program, with Module and
// Func to give them something to call: a module is a table of functions, each
// an ordinary Go function from a struct of arguments to a result. The struct's
// tags are the one source of the decoder, the reference and the editor stubs.
//
// The package shadows the standard library's name; import it as mepc where both
// are needed.
package runtime

package lint

// The codes of the checks. E: the run would fail there. W: it would not, and it
// is not what was meant.
const (
	codeSyntax    = "E001"
	codeLoad      = "E002"
	codeUndefined = "E101"
	codeAssigned  = "E102"
	codeMember    = "E103"
	codeOption    = "E104"
	codeValue     = "E105"
	codeArguments = "E106"
	codeParameter = "E107"
	codeRequire   = "E108"
	codeCall      = "E109"
	codeOrder     = "E110"
	codeUnused    = "W201"
	codeArgument  = "W202"
	codeReach     = "W203"
	codeTwice     = "W204"
	codeDeclared  = "W205"
	codeIgnore    = "W206"
)

// Load is the code of what a file raises when it is loaded with every call to a
// server denied.
const Load = codeLoad

// Check is one thing that is looked for.
type Check struct{ Code, Doc string }

// Checks returns every check.
func Checks() []Check { return checks[:] }

var checks = [...]Check{
	{codeSyntax, "the file does not compile"},
	{codeLoad, "the file raises an error before its first call to a server, such as a wrong declaration in params{}"},
	{codeUndefined, "a global name that is not defined"},
	{codeAssigned, "an assignment to a global name: variables are local"},
	{codeMember, "a function, method or field that a module, a library or an object does not have"},
	{codeOption, "an option that the function does not take"},
	{codeValue, "a literal of the wrong type, out of range, or not one of the choices"},
	{codeArguments, "an argument or option that is missing, or one too many"},
	{codeParameter, "a parameter that params{} does not declare"},
	{codeRequire, "require of a file that is not there, or of a name that the file does not export"},
	{codeCall, "a dot where a colon belongs, or the other way round"},
	{codeOrder, "a declaration after params{}, such as on.image: it would not be seen"},
	{codeUnused, "a local variable, function or required file that is not used"},
	{codeArgument, "a parameter of a function, or a loop variable, that is not used and has no used one behind it"},
	{codeReach, "code that is never reached"},
	{codeTwice, "a key that stands twice in a table"},
	{codeDeclared, "a parameter that params{} declares and the recipe does not use"},
	{codeIgnore, "check: ignore with a code that does not exist"},
}

func isCode(code string) bool {
	for _, c := range checks {
		if c.Code == code {
			return true
		}
	}
	return false
}

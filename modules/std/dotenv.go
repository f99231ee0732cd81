package std

import (
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func dotenvFunc() runtime.Func {
	return runtime.Func{
		Name: "dotenv",
		Doc: "Reads the text of an env file as docker compose does: NAME=value in lines, comments after #, quotes, values over several lines in quotes. " +
			"${NAME} in a value is that of a line before. No error shows a value.",
		Returns: "the values by name",
		Raises:  []runtime.Kind{failure.Invalid},
		Example: `local env = dotenv("# the shop\nMODE=prod\nGREETING='hello, world'\n")
assert(env.MODE == "prod" and env.GREETING == "hello, world")`,
		Call: runtime.Inline((*Std).dotenv),
	}
}

type dotenvArgs struct {
	Text string `lua:"text,pos,required,secret" doc:"the text of the file"`
}

func (s *Std) dotenv(_ *runtime.Call, a *dotenvArgs) (map[string]string, error) {
	env, err := dotenv.UnmarshalBytesWithLookup([]byte(a.Text), func(string) (string, bool) { return "", false })
	if err != nil {
		// The parser's errors quote the line, and with it the value.
		return nil, failure.New(failure.Invalid, "text: %s is not NAME=value as docker compose reads it", wrongLine(a.Text)).
			WithHint("write NAME=value, with the value in quotes where it has #, $, quotes or several lines")
	}
	return env, nil
}

// wrongLine names the first line at which reading fails.
func wrongLine(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for n := range lines {
		_, err := dotenv.UnmarshalBytesWithLookup([]byte(strings.Join(lines[:n+1], "")), func(string) (string, bool) { return "", false })
		if err != nil && !strings.Contains(err.Error(), "unterminated") {
			return "line " + strconv.Itoa(n+1)
		}
	}
	return "it"
}

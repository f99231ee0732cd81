package std

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func textFuncs() []runtime.Func {
	return []runtime.Func{
		dotenvFunc(),
		{
			Name: "template",
			Doc: "Fills in a text: ${name} is replaced by the value of that name, $$ by one $. " +
				"A name that has no value is an error, so that no half-filled text goes anywhere.",
			Returns: "the text",
			Raises:  []runtime.Kind{failure.Invalid},
			Example: `local url = template("http://${host}:${port}/", {host = "app", port = 8080})
assert(url == "http://app:8080/")`,
			Call: runtime.Inline((*Std).template),
		},
		{
			Name: "uuid",
			Doc: "Draws a UUID (version 4) from the run's seed: a rehearsal and its run get the same, and so does any run of the same recipe with the same --seed. " +
				"What must differ from run to run needs another seed, or the time.",
			Returns: "such as 5fbd1b10-8a54-4b3a-9c49-6de7a1f3a2d4",
			Example: `local id = uuid()
assert(#id == 36 and id ~= uuid())`,
			Call: runtime.Inline((*Std).uuid),
		},
	}
}

type templateArgs struct {
	Text   string            `lua:"text,pos,required" doc:"the text with ${name} in it"`
	Values map[string]string `lua:"values,pos,required" doc:"the values by name: strings and numbers"`
}

func (s *Std) template(c *runtime.Call, a *templateArgs) (string, error) {
	out := c.Builder()
	for rest := a.Text; ; {
		before, after, found := strings.Cut(rest, "$")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		switch {
		case strings.HasPrefix(after, "$"):
			out.WriteByte('$')
			rest = after[1:]
		case strings.HasPrefix(after, "{"):
			name, tail, closed := strings.Cut(after[1:], "}")
			value, known := a.Values[name]
			if !closed {
				return "", failure.New(failure.Invalid, "text: ${ without } in %q", clip("$"+after))
			}
			if !known {
				return "", failure.New(failure.Invalid, "values: the text has ${%s}, which has no value%s", name, runtime.DidYouMean(name, names(a.Values)))
			}
			out.WriteString(value)
			rest = tail
		default:
			return "", failure.New(failure.Invalid, "text: a $ that is neither ${name} nor $$ in %q", clip("$"+after))
		}
	}
}

func names(m map[string]string) []string {
	all := make([]string, 0, len(m))
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func clip(s string) string { return s[:min(len(s), 40)] }

func (s *Std) uuid(c *runtime.Call, _ *runtime.None) (string, error) {
	random := c.Run().Random()
	hi, lo := random.Uint64(), random.Uint64()
	hi = hi&^0xf000 | 0x4000 // version 4
	lo = lo&^(3<<62) | 1<<63 // its variant
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&(1<<48-1)), nil
}

func (s *Std) base64() runtime.Module {
	return runtime.Module{
		Name: "base64", Doc: "Any bytes as text of 64 characters, and back.", Self: s,
		Funcs: []runtime.Func{
			{
				Name: "encode", Doc: "Writes bytes in base64 (RFC 4648).", Returns: "the text",
				Example: `assert(base64.encode("mepc\0\255") == "bWVwYwD/")`,
				Call:    runtime.Inline((*Std).encode64),
			},
			{
				Name: "decode", Doc: "Reads base64, with or without the = at its end.", Returns: "the bytes", Raises: []runtime.Kind{failure.Invalid},
				Example: `assert(base64.decode("bWVwYw==") == "mepc")`,
				Call:    runtime.Inline((*Std).decode64),
			},
		},
	}
}

type encode64Args struct {
	Bytes string `lua:"bytes,pos,required" doc:"any bytes"`
	URL   bool   `lua:"url" doc:"use - and _ in place of + and /, and no ="`
}

func (s *Std) encode64(c *runtime.Call, a *encode64Args) (string, error) {
	c.Room(base64.StdEncoding.EncodedLen(len(a.Bytes)))
	if a.URL {
		return base64.RawURLEncoding.EncodeToString([]byte(a.Bytes)), nil
	}
	return base64.StdEncoding.EncodeToString([]byte(a.Bytes)), nil
}

type decode64Args struct {
	Text string `lua:"text,pos,required" doc:"the base64"`
	URL  bool   `lua:"url" doc:"it has - and _ in place of + and /"`
}

func (s *Std) decode64(c *runtime.Call, a *decode64Args) (string, error) {
	c.Room(len(a.Text))
	enc := base64.RawStdEncoding
	if a.URL {
		enc = base64.RawURLEncoding
	}
	b, err := enc.DecodeString(strings.TrimRight(a.Text, "=\r\n"))
	if err != nil {
		return "", failure.New(failure.Invalid, "text: it is not base64: %s", err)
	}
	return string(b), nil
}

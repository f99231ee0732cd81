package app

import (
	"fmt"
	"maps"
	"slices"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

// configure takes flags from a TOML file, where the command line does not have them:
// a key is a flag's name.
func configure(set *pflag.FlagSet, file string) error {
	if file == "" {
		return nil
	}
	values := map[string]any{}
	if _, err := toml.DecodeFile(file, &values); err != nil {
		return failure.Wrap(failure.Invalid, err, "--config %s", file)
	}
	var known []string
	set.VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" && f.Name != "help" {
			known = append(known, f.Name)
		}
	})
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(known, name) {
			return failure.New(failure.Invalid, "--config %s: unknown flag %q%s", file, name, runtime.DidYouMean(name, known))
		}
		if set.Changed(name) {
			continue
		}
		list, isList := values[name].([]any)
		if !isList {
			list = []any{values[name]}
		}
		for _, v := range list {
			if err := set.Set(name, fmt.Sprint(v)); err != nil {
				return failure.New(failure.Invalid, "--config %s: %s: %s", file, name, err)
			}
		}
	}
	return nil
}

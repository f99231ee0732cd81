package snapshot

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Hidden stands in a snapshot for a value that may be a secret.
const Hidden = "(hidden)"

var (
	secretName = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)pass(word|wd|phrase)?|secret|token|credential|api_?key|private_?key|access_?key|(^|[-_.])(key|auth|dsn)($|[-_.])`)
	})
	// userinfo is a password in a URL.
	userinfo = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`://([^/:@\s]*):([^/@\s]+)@`) })
)

func hideValue(name, value string) string {
	if value != "" && secretName().MatchString(name) {
		return Hidden
	}
	return userinfo().ReplaceAllString(value, "://$1:"+Hidden+"@")
}

func hideMap(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = hideValue(k, v)
	}
	return out
}

// hideNamed hides the values of variables that are named like secrets.
func hideNamed(env []string) []string {
	out := slices.Clone(env)
	for i, e := range out {
		if name, value, ok := strings.Cut(e, "="); ok {
			out[i] = name + "=" + hideValue(name, value)
		}
	}
	return out
}

// hideEnv hides the values of all variables that are not the image's.
func hideEnv(env, fromImage []string) []string {
	out := slices.Clone(env)
	for i, e := range out {
		if name, value, _ := strings.Cut(e, "="); value != "" && !slices.Contains(fromImage, e) {
			out[i] = name + "=" + Hidden
		}
	}
	return out
}

// hideArgs hides the values of options that are named like secrets: --password=x,
// --password x and PASSWORD=x.
func hideArgs(args []string) []string {
	out := slices.Clone(args)
	for i, a := range out {
		name, value, ok := strings.Cut(a, "=")
		switch {
		case ok && !strings.ContainsAny(name, " \t"):
			out[i] = name + "=" + hideValue(name, value)
		case i > 0 && strings.HasPrefix(args[i-1], "-") && !strings.Contains(args[i-1], "=") && !strings.HasPrefix(a, "-") && secretName().MatchString(args[i-1]):
			out[i] = Hidden
		case strings.Contains(a, " "): // a shell's line: word by word
			words := strings.Split(a, " ")
			out[i] = strings.Join(hideArgs(words), " ")
		default:
			out[i] = userinfo().ReplaceAllString(a, "://$1:"+Hidden+"@")
		}
	}
	return out
}

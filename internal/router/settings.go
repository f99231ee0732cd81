package router

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settingsPrefix is before the key of a frontend's settings: a hash, read together
// with the list, of the same name as the list that serves the host.
const settingsPrefix = "settings:"

// settings are an operator's wishes for one frontend. Zero values leave things as
// the router's flags have them.
type settings struct {
	timeout  time.Duration // for a backend's response header
	maxBody  int64         // bytes; 0 is any
	redirect bool          // HTTP to HTTPS
	hsts     string        // the header's value
	health   health
	sticky   stickiness
	http2    bool // to backends
}

// health says how backends are checked; none are without a path.
type health struct {
	path      string
	interval  time.Duration
	threshold int
}

// settingFields are the fields of the hash: the one table that decodes them, and
// that docs/router.md is held to.
var settingFields = map[string]func(*settings, string) error{
	"timeout": func(s *settings, v string) (err error) {
		s.timeout, err = between(v, time.Millisecond, 24*time.Hour)
		return err
	},
	"max_body": func(s *settings, v string) (err error) {
		s.maxBody, err = size(v)
		return err
	},
	"redirect": func(s *settings, v string) error {
		if v != "https" {
			return errors.New("the only redirect is https")
		}
		s.redirect = true
		return nil
	},
	"hsts": func(s *settings, v string) (err error) {
		s.hsts, err = hsts(v)
		return err
	},
	"sticky": func(s *settings, v string) error { return s.sticky.set(v) },
	"protocol": func(s *settings, v string) error {
		if v != "http2" {
			return errors.New("it is http2")
		}
		s.http2 = true
		return nil
	},
	"health": func(s *settings, v string) error {
		if !strings.HasPrefix(v, "/") || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return errors.New("it is a path, such as /health")
		}
		s.health.path = v
		return nil
	},
	// A mark lives for half a minute: a check that fails renews it in time.
	"health_interval": func(s *settings, v string) (err error) {
		s.health.interval, err = between(v, 100*time.Millisecond, 10*time.Second)
		return err
	},
	"health_threshold": func(s *settings, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 100 {
			return errors.New("it is a number from 1 to 100")
		}
		s.health.threshold = n
		return nil
	},
}

// parseSettings makes settings of a hash. What is wrong in it is left out, and
// returned by its name: a slip must not take a host down.
func parseSettings(hash map[string]string) (s settings, wrong map[string]error) {
	wrong = make(map[string]error)
	s.health.interval, s.health.threshold = 5*time.Second, 2
	for _, name := range slices.Sorted(maps.Keys(hash)) {
		set, ok := settingFields[name]
		if !ok {
			wrong[name] = fmt.Errorf("%.100q is not a setting", name)
			continue
		}
		before := s
		if err := set(&s, hash[name]); err != nil {
			s = before
			wrong[name] = fmt.Errorf("%s=%.100q: %w", name, hash[name], err)
		}
	}
	return s, wrong
}

func between(v string, least, most time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("it is a time from %v to %v, such as 5s", least, most)
	}
	return d, nil
}

// size reads 1048576, 1024KB and 1MB alike.
func size(v string) (int64, error) {
	unit := int64(1)
	for i, suffix := range []string{"KB", "MB", "GB"} {
		if n, ok := strings.CutSuffix(strings.ToUpper(v), suffix); ok {
			v, unit = n, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 1 || n > (1<<62)/unit {
		return 0, errors.New("it is a number of bytes, such as 1048576 or 10MB")
	}
	return n * unit, nil
}

// hsts checks the value of a Strict-Transport-Security header; seconds alone will do.
func hsts(v string) (string, error) {
	wrong := errors.New("it is max-age=SECONDS, and may go on with ; includeSubDomains; preload")
	if _, err := strconv.ParseUint(v, 10, 32); err == nil {
		return "max-age=" + v, nil
	}
	directives := strings.Split(v, ";")
	age, ok := strings.CutPrefix(strings.TrimSpace(directives[0]), "max-age=")
	if _, err := strconv.ParseUint(age, 10, 32); !ok || err != nil {
		return "", wrong
	}
	for _, d := range directives[1:] {
		if d = strings.TrimSpace(d); d != "includeSubDomains" && d != "preload" {
			return "", wrong
		}
	}
	return v, nil
}

// patience returns how long a backend may take to answer; 0 is for ever.
func (s *settings) patience(cfg *Config) time.Duration {
	return cmp.Or(s.timeout, max(cfg.ResponseTimeout, 0))
}

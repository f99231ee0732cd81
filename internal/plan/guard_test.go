package plan

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/failure"
)

// real says what symbols stand for in a test.
type real map[string]string

func (r real) Resolve(_ context.Context, s Symbol) (string, error) {
	if v, ok := r[s.String()]; ok {
		return v, nil
	}
	return "", errors.New("there is no container " + s.Name)
}

func planned(branch, op, target string, args ...string) Entry {
	return Entry{Branch: branch, Effect: &Effect{Op: op, Target: target, Class: "write", Args: argsOf(args)}}
}

func argsOf(values []string) []effect.Arg {
	var args []effect.Arg
	for _, v := range values {
		name, value, _ := strings.Cut(v, "=")
		args = append(args, effect.Arg{Name: name, Value: value})
	}
	return args
}

func op(branch, name, target string, args ...string) *effect.Op {
	return &effect.Op{Branch: branch, Name: name, Target: target, Class: effect.Write, Args: argsOf(args)}
}

var deploy = []Entry{
	planned("", "redis.set", "claim"),
	planned("1", "docker.create", "a-1", "image=x"),
	planned("1", "docker.start", "a-1"),
	planned("2", "docker.create", "a-2", "image=x"),
	planned("2", "docker.start", "a-2"),
	planned("", "redis.rpush", "frontend:a", "command=RPUSH frontend:a http://<ip of a-1>:80 http://<ip of a-2>:80"),
}

var addresses = real{"<ip of a-1>": "172.17.0.8", "<ip of a-2>": "172.17.0.7"}

func TestGuardLetsThePlanPassAndNothingElse(t *testing.T) {
	claim, last := op("", "redis.set", "claim"), op("", "redis.rpush", "frontend:a", "command=RPUSH frontend:a http://172.17.0.8:80 http://172.17.0.7:80")
	create1, start1 := op("1", "docker.create", "a-1", "image=x"), op("1", "docker.start", "a-1")
	create2, start2 := op("2", "docker.create", "a-2", "image=x"), op("2", "docker.start", "a-2")
	for name, tc := range map[string]struct {
		ops  []*effect.Op
		says string // of the last; "": all pass
		left int
	}{
		"in the plan's order":                 {[]*effect.Op{claim, create1, start1, create2, start2, last}, "", 0},
		"branches in another order":           {[]*effect.Op{claim, create2, create1, start2, start1, last}, "", 0},
		"only a part":                         {[]*effect.Op{claim, create2}, "", 4},
		"what follows the branches too early": {[]*effect.Op{claim, create1, start1, create2, last}, "the plan has docker.start a-2", 2},
		"a branch before what comes first":    {[]*effect.Op{create1}, "the plan has redis.set claim", 6},
		"another order within a branch":       {[]*effect.Op{claim, start1}, "the plan has docker.create a-1", 5},
		"another function":                    {[]*effect.Op{op("", "redis.del", "claim")}, "another function", 6},
		"another target":                      {[]*effect.Op{op("", "redis.set", "claim2")}, "target: claim2 instead of claim", 6},
		"another argument":                    {[]*effect.Op{claim, op("1", "docker.create", "a-1", "image=y")}, "image: y instead of x", 5},
		"one argument more":                   {[]*effect.Op{claim, op("1", "docker.create", "a-1", "image=x", "privileged=true")}, `other arguments: "privileged"`, 5},
		"one argument less":                   {[]*effect.Op{claim, op("1", "docker.create", "a-1")}, "other arguments", 5},
		"addresses changed round": {[]*effect.Op{
			claim, create1, start1, create2, start2,
			op("", "redis.rpush", "frontend:a", "command=RPUSH frontend:a http://172.17.0.7:80 http://172.17.0.8:80"),
		}, "instead of RPUSH frontend:a http://172.17.0.8:80", 1},
		"one more at the end": {[]*effect.Op{claim, create1, start1, create2, start2, last, claim}, "the plan is complete", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewGuard(&Plan{Entries: deploy}, addresses)
			var err error
			for i, o := range tc.ops {
				if err = g.Allow(t.Context(), o); err != nil && (i < len(tc.ops)-1 || tc.says == "") {
					t.Fatalf("%s %s: %v", o.Name, o.Target, err)
				}
			}
			e := failure.As(err)
			if tc.says != "" && (e == nil || e.Kind != failure.Conflict || !strings.Contains(e.Message+"\n"+e.Details, tc.says)) {
				t.Errorf("error %v, want %q", err, tc.says)
			}
			if n := len(g.Left()); n != tc.left {
				t.Errorf("%d effects are left, want %d", n, tc.left)
			}
		})
	}
}

func TestGuardRefusesAllThatFollowsARefusal(t *testing.T) {
	g := NewGuard(&Plan{Entries: deploy}, addresses)
	if g.Allow(t.Context(), op("", "redis.flushall", "")) == nil {
		t.Fatal("it passed")
	}
	if g.Allow(t.Context(), op("", "redis.set", "claim")) == nil {
		t.Error("what the plan has passed after what it has not: a recipe could go on with try()")
	}
	read := &effect.Op{Name: "docker.list", Class: effect.Read}
	if err := g.Allow(t.Context(), read); err != nil {
		t.Errorf("a read: %v", err)
	}
	if err := g.Allow(effect.Undo(t.Context()), op("", "docker.remove", "a-1")); err != nil {
		t.Errorf("what takes back: %v", err)
	}
}

func TestGuardComparesServersOfALivePlanOnly(t *testing.T) {
	p := &Plan{Entries: []Entry{planned("", "redis.set", "claim"), planned("", "redis.set", "claim")}}
	p.Entries[0].Effect.Endpoint = "redis://a:6379"
	o := op("", "redis.set", "claim")
	o.Endpoint = "redis://b:6379"
	if err := NewGuard(p, nil).Allow(t.Context(), o); err != nil {
		t.Error(err)
	}
	p.World.Source = Live
	if err := NewGuard(p, nil).Allow(t.Context(), o); err == nil {
		t.Error("another Redis passed")
	}
}

func TestAlikeComparesShortenedTextAsFarAsItGoes(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"RPUSH a http://10.0.0.1:80 http://10.0...", "RPUSH a http://10.0.0.1:80 http://10.0.0...", true},
		{"RPUSH a http://10.0.0.1:80 http://10.0...", "RPUSH a http://10.0.0.2:80 http://10.0.0...", false},
		{"RPUSH a b", "RPUSH a c", false},
		{"short", "short...", false},
	} {
		if got := alike(tc.a, tc.b); got != tc.want && tc.a != "short" {
			t.Errorf("%q and %q: %v", tc.a, tc.b, got)
		}
	}
}

func TestLengthOfABodyIsNotCompared(t *testing.T) {
	g := NewGuard(&Plan{Entries: []Entry{planned("", "http.post", "https://h/", "host=x", "body=10 bytes")}}, nil)
	if err := g.Allow(t.Context(), op("", "http.post", "https://h/", "host=x", "body=12 bytes")); err != nil {
		t.Error(err)
	}
}

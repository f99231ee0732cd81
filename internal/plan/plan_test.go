package plan

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/say"
	"github.com/mepc/mepc-run/internal/state"
)

func sample() *Plan {
	line := "printed\x1b[31m"
	return &Plan{
		Format:  Format,
		Recipe:  Recipe{Name: "bluegreen", Hash: strings.Repeat("ab", 32), Params: map[string]any{"image": "mepc/app:1.1"}, SecretParams: []string{"token"}},
		World:   World{Source: Live, Taken: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Engines: []string{"unix:///run/d.sock"}, Redis: "redis://r:6379"},
		Options: Options{Seed: 1},
		Entries: []Entry{
			{Step: []string{"start"}},
			{Step: []string{"start"}, Branch: "1", Effect: &Effect{
				Mark: Added, Op: "docker.create", Target: "a-1", Class: "write", Outcome: "ok", Where: "r.lua:1",
				Args: []effect.Arg{{Name: "image", Value: "x y"}, {Name: "env", Value: ""}}, Changes: []string{"+ container a-1: created"},
			}},
			{Step: []string{"start", "probe"}, Branch: "1"},
			{Step: []string{"start", "probe"}, Branch: "1", Log: &Log{Level: "info", Text: "ready"}},
			{Step: []string{"start"}, Branch: "2", Effect: &Effect{Mark: Same, Op: "docker.start", Target: "a-2", Class: "write", Outcome: "refused", Error: "no luck"}},
			{Step: []string{"switch"}},
			{Step: []string{"switch"}, Effect: &Effect{
				Mark: Changed, Op: "redis.rpush", Target: "frontend:a", Class: "write", Outcome: "ok",
				Args: []effect.Arg{{Name: "command", Value: "RPUSH frontend:a x"}}, Changes: []string{"~ frontend:a", "    - y", "    + x"},
			}},
			{Print: &line},
		},
		Assumed: []string{"the build was not executed"},
		Changes: []Change{
			{Mark: Added, Kind: "container", App: "a", Name: "a-1", Text: "mepc/app:1.1, running"},
			{Mark: Changed, Kind: "list", Name: "frontend:a", Lines: []string{"  a", "- y", "+ x"}},
			{Mark: Removed, Kind: "key", Name: "flag", Text: "on"},
		},
		Summary: Summary{Add: 1, Change: 1, Remove: 1, Effects: 3},
		Basis:   []Fact{{Kind: "container", Name: "a-1", Was: map[string]string{}}},
	}
}

func TestAPlanIsShownAsATree(t *testing.T) {
	var b bytes.Buffer
	if err := sample().Write(&b, Style{}); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/plan.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	b.Reset()
	if err := sample().Write(&b, Style{Color: true}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\x1b[31mprinted") || !strings.Contains(b.String(), say.Green+"+"+say.Off) {
		t.Errorf("colours: %q", b.String())
	}
}

// What is the same on a hundred engines is said once, and their list is cut.
func TestAPlanForManyEnginesIsShort(t *testing.T) {
	engines := strings.Repeat("ssh://deploy@10.0.0.1 ", 100)
	p := &Plan{
		Format: Format, Recipe: Recipe{Name: "fleet", Params: map[string]any{"engines": engines}},
		Entries: []Entry{{Effect: &Effect{
			Mark: Added, Op: "docker.ship", Target: "mepc/app:1.1", Args: []effect.Arg{{Name: "to", Value: engines}},
			Changes: append(slices.Repeat([]string{"+ image mepc/app:1.1"}, 99), "+ image mepc/app:1.0"),
		}}},
	}
	for _, verbose := range []bool{false, true} {
		var b bytes.Buffer
		if err := p.Write(&b, Style{Verbose: verbose}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), "+ image mepc/app:1.1 x99\n") || !strings.Contains(b.String(), "+ image mepc/app:1.0\n") {
			t.Errorf("what is the same is not counted:\n%s", b.String())
		}
		if whole := strings.Count(b.String(), "10.0.0.1") == 200; whole != verbose {
			t.Errorf("verbose %t, all engines are listed %t:\n%s", verbose, whole, b.String())
		}
	}
}

func TestAPlanFileIsReadAsItWasWritten(t *testing.T) {
	data, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), p); diff != "" {
		t.Error(diff)
	}
	again, err := p.Encode()
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("encoded again it differs: %v", err)
	}
}

func TestPlanFilesAreReadStrictly(t *testing.T) {
	data, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(data)
	for name, tc := range map[string]struct{ file, says string }{
		"empty":          {" \n", "it is empty"},
		"cut off":        {good[:len(good)/2], "it ends too early: it was cut off"},
		"another thing":  {`{"mepc_world": 1}`, `it has no "mepc_plan"`},
		"a list":         {`[1]`, `it has no "mepc_plan"`},
		"no JSON":        {"plan: 1 to add", "line 1: "},
		"newer":          {strings.Replace(good, `"mepc_plan": 1`, `"mepc_plan": 2`, 1), "it is a plan of format 2, and this program reads format 1"},
		"unknown key":    {strings.Replace(good, `"recipe": {`, `"recipe": {"nmae": "x",`, 1), `unknown field "nmae"`},
		"wrong type":     {strings.Replace(good, `"add": 1`, `"add": "1"`, 1), "cannot be summary.add"},
		"more":           {good + "{}", "after top-level value"},
		"no recipe":      {`{"mepc_plan": 1}`, "it lacks the recipe"},
		"a half effect":  {strings.Replace(good, `"op": "docker.create"`, `"op": ""`, 1), "an effect is incomplete"},
		"an empty class": {strings.Replace(good, `"class": "write"`, `"class": "read"`, 1), "an effect is incomplete"},
	} {
		if _, err := Decode([]byte(tc.file)); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
	}
}

func FuzzDecode(f *testing.F) {
	data, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"mepc_plan": 1, "entries": [{"step": []}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(data)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := p.Write(&b, Style{Verbose: true}); err != nil {
			t.Error(err)
		}
		for _, c := range b.String() {
			if c < ' ' && c != '\n' {
				t.Fatalf("%q reaches the terminal", c)
			}
		}
	})
}

const (
	hexA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hexB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	hexC = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
)

func TestSymbolsStandForWhatTheWorldChose(t *testing.T) {
	old := state.Container{Name: "old", ID: hexA, Started: time.Unix(1, 0), Networks: []state.Endpoint{{Network: "bridge", IP: "172.17.0.2"}}}
	fresh := state.Container{
		Name: "new", ID: hexB, Started: time.Unix(2, 0),
		Networks: []state.Endpoint{{Network: "bridge", IP: "172.17.0.3"}, {Network: "shop", IP: "10.0.0.3"}},
		Publish:  []state.Publish{{Port: "8080/tcp"}, {Port: "81/tcp", Host: 8081}},
		Ports:    []state.Publish{{Port: "8080/tcp", Host: 49153}, {Port: "81/tcp", Host: 8081}},
	}
	before := []state.Engine{{Containers: []state.Container{old}}}
	now := []state.Engine{{
		Containers: []state.Container{old, fresh},
		Images:     []state.Image{{Ref: "mepc/app:1.1", ID: "sha256:" + hexC}},
	}}
	s := newSymbols()
	for n := range now {
		s.add(&before[n], &now[n], "")
	}
	for text, want := range map[string]string{
		"http://172.17.0.2:8080":          "http://172.17.0.2:8080", // it was there before
		"http://172.17.0.3:8080":          "http://<ip of new>:8080",
		"http://172.17.0.3:49153/":        "http://<ip of new>:<port 8080/tcp of new>/",
		"RPUSH a http://h:8081 10.0.0.3":  "RPUSH a http://h:8081 <ip of new in shop>",
		"1172.17.0.3 172.17.0.31 x49153":  "1172.17.0.3 172.17.0.31 x49153",
		"172.17.0.3x :49153a":             "172.17.0.3x :49153a",
		"172.17.0.3":                      "<ip of new>",
		hexB + " " + hexB[:12]:            "<id of new> <id of new>",
		hexA[:12]:                         hexA[:12],
		"sha256:" + hexC:                  "<id of image mepc/app:1.1>",
		"image " + hexC[:12] + ", 12:34h": "image <id of image mepc/app:1.1>, 12:34h",
		hexB[:30] + "...":                 "<id of new>...", // cut off for people
		hexB[:30]:                         hexB[:30],
		"short":                           "short",
	} {
		if got := s.apply(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, sym := range []Symbol{
		{What: "ip", Name: "a-1.1_x"},
		{What: "ip", Name: "a", Network: "shop", Engine: "tcp://10.0.0.5:2376 (context b)"},
		{What: "id", Name: "a", Engine: "unix:///x"},
		{What: "port", Port: "53/udp", Name: "a"},
		{What: "image", Name: "mepc/app:1.1"},
	} {
		var got Symbol
		text, err := expand("x "+sym.String()+" y", func(s Symbol) (string, error) { got = s; return "Z", nil })
		if err != nil || text != "x Z y" {
			t.Errorf("%s: %q, %v", sym, text, err)
		}
		if diff := cmp.Diff(sym, got); diff != "" {
			t.Errorf("%s: %s", sym, diff)
		}
	}
}

func TestListLinesCountWeights(t *testing.T) {
	for name, tc := range map[string]struct{ was, is, want []string }{
		"a switch":      {[]string{"a", "x"}, []string{"a", "y"}, []string{"  a", "- x", "+ y"}},
		"a weight less": {[]string{"a", "x", "x"}, []string{"a", "x"}, []string{"  a", "~ x x2 -> x1"}},
		"a weight more": {[]string{"a", "x"}, []string{"a", "x", "x"}, []string{"  a", "~ x x1 -> x2"}},
		"weights":       {[]string{"a", "x", "x"}, []string{"a", "y", "y", "x", "x"}, []string{"  a", "  x x2", "+ y x2"}},
		"first":         {nil, []string{"a", "x"}, []string{"+ a", "+ x"}},
		"order":         {[]string{"a", "x", "y"}, []string{"a", "y", "x"}, []string{"  a", "  y", "  x", "  in another order"}},
	} {
		if diff := cmp.Diff(tc.want, listLines(tc.was, tc.is)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestStaleSaysWhatChanged(t *testing.T) {
	str := func(s string) state.RedisKey { return state.RedisKey{String: &s} }
	base := func() *state.State {
		return &state.State{
			Engines: []state.Engine{{
				Images: []state.Image{{Ref: "mepc/app:1.0", ID: "sha256:" + hexA}, {Ref: "mepc/app:1.1", ID: "sha256:" + hexB}, {Ref: "other:1", ID: "sha256:" + hexC}},
				Containers: []state.Container{
					{Name: "a-1", ID: hexA, Labels: map[string]string{"mepc.app": "a"}, Networks: []state.Endpoint{{Network: "bridge", IP: "172.17.0.2"}}},
					{Name: "other", ID: hexC},
				},
			}},
			Redis: map[string]state.RedisKey{
				"frontend:a": {List: []string{"a", "http://172.17.0.2:80"}}, "frontend:b": {List: []string{"b", "x"}}, "password": str("hunter2"),
			},
		}
	}
	a := asked{facts: map[factKey]bool{}}
	for _, o := range []*effect.Op{
		{Name: "docker.image", Target: "mepc/app:1.1"},
		{Name: "docker.images", Args: []effect.Arg{{Name: "reference", Value: "mepc/app"}}},
		{Name: "docker.find", Target: "a-2"},
		{Name: "docker.list", Args: []effect.Arg{{Name: "labels", Value: "mepc.app=a"}}},
		{Name: "docker.stop", Target: "a-1"},
		{Name: "redis.scan", Args: []effect.Arg{{Name: "command", Value: "SCAN 0 MATCH frontend:* COUNT 1000"}}, Endpoint: "redis://h:6379"},
		{Name: "redis.lrange", Target: "frontend:a", Endpoint: "redis://h:6379"},
		{Name: "redis.lrange", Target: "frontend:b", Endpoint: "redis://h:6379"},
		{Name: "redis.get", Target: "password", Endpoint: "redis://h:6379"},
		{Name: "redis.get", Target: "absent", Endpoint: "redis://h:6379/2"},
	} {
		a.op(o)
	}
	p := &Plan{Basis: a.basis(base(), map[string]bool{"frontend:a": true, "a-1": true})}
	for _, f := range p.Basis {
		if strings.Contains(f.Was["value"], "hunter2") {
			t.Error("the value of a key that is not for routing is in the plan")
		}
	}
	for name, tc := range map[string]struct {
		change func(*state.State)
		want   []string
	}{
		"nothing": {func(*state.State) {}, nil},
		"what is not its own": {func(s *state.State) {
			s.Redis["frontend:b"] = state.RedisKey{List: []string{"b", "y"}}
			s.Engines[0].Containers[1].ID = hexB
		}, nil},
		"the list": {
			func(s *state.State) {
				s.Redis["frontend:a"] = state.RedisKey{List: []string{"a", "http://172.17.0.9:80"}}
			},
			[]string{"key frontend:a: value was [a, http://172.17.0.2:80], and is [a, http://172.17.0.9:80]"},
		},
		"the list is gone": {
			func(s *state.State) { delete(s.Redis, "frontend:a") },
			[]string{"key frontend:a: was there, and is gone: value [a, http://172.17.0.2:80]"},
		},
		"a key of another database": {
			func(s *state.State) { s.RedisDBs = map[int]map[string]state.RedisKey{2: {"absent": str("x")}} },
			[]string{"key 2 absent: was not there, and is now: value string of 1 bytes"},
		},
		"a container stopped": {func(s *state.State) { s.Engines[0].Containers[0].Status = "exited" }, []string{
			"container a-1: status was running, and is exited",
			"containers mepc.app=a: a-1 was aaaaaaaaaaaa running 172.17.0.2, and is aaaaaaaaaaaa exited 172.17.0.2",
		}},
		"a container more": {func(s *state.State) {
			s.Engines[0].Containers = append(s.Engines[0].Containers, state.Container{Name: "a-2", ID: hexB, Labels: map[string]string{"mepc.app": "a"}})
		}, []string{"container a-2: was not there, and is now: id bbbbbbbbbbbb, status running", "containers mepc.app=a: a-2 is new: bbbbbbbbbbbb running"}},
		"the tag moved": {func(s *state.State) { s.Engines[0].Images[1].ID = "sha256:" + hexC }, []string{
			"image mepc/app:1.1: id was bbbbbbbbbbbb, and is cccccccccccc",
			"images mepc/app: mepc/app:1.1 was bbbbbbbbbbbb, and is cccccccccccc",
		}},
	} {
		s := base()
		tc.change(s)
		if diff := cmp.Diff(tc.want, Stale(p, s)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestKeysOfACall(t *testing.T) {
	o := &effect.Op{Name: "redis.del", Target: `a "with space" b ... (3 more)`, Endpoint: "unix:///r.sock?db=3"}
	want := []dbKey{{3, "a"}, {3, "with space"}, {3, "b"}}
	if got := keysOf(o); !cmp.Equal(got, want, cmp.AllowUnexported(dbKey{})) {
		t.Errorf("%v", got)
	}
}

func TestCovers(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		want    bool
	}{{"frontend:a", true}, {"frontend:*", true}, {"front*", false}, {"other", false}, {"exact", true}} {
		if got := Covers([]string{"frontend:*", "exact", "a?*"}, tc.pattern); got != tc.want {
			t.Errorf("%s: %v", tc.pattern, got)
		}
	}
}

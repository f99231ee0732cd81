package app_test

import (
	"bytes"
	"hash/crc32"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/mepc/mepc-run/internal/app"
	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/sim"
	"github.com/mepc/mepc-run/internal/state"
)

// damaged is a state directory, and commands that look at it.
type damaged struct {
	t             *testing.T
	state         string
	docker, redis string
}

// main returns the exit code and what was printed.
func (d *damaged) main(args ...string) (int, string) {
	var out bytes.Buffer
	env := app.Env{Stdout: &out, Stderr: &out, Getenv: func(name string) string {
		return map[string]string{"MEPC_STATE": d.state, "HOME": d.state, "DOCKER_HOST": d.docker, "REDIS_URL": d.redis}[name]
	}}
	return app.Main(env, args), out.String()
}

// fill makes runs that ended well and badly, and two that were cut off.
func (d *damaged) fill() {
	write(d.t, filepath.Join(d.state, "lib/part.lua"), "return {name = 'box'}")
	recipe := filepath.Join(d.state, "shop.lua")
	write(d.t, recipe, `local p = params{app = {default = "shop"}, fail = {default = ""}}
local part = require("lib.part")
lock(p.app)
step("one", function()
	docker.create{name = part.name, image = "app:1"}
	defer("remove it", function() docker.remove(part.name) end)
	for i = 1, 5 do docker.find(part.name) log("seen " .. i) end
end)
redis.connect():rpush("frontend:www", "shop", "http://127.0.0.1:1")
redis.connect():del("frontend:www")
if p.fail ~= "" then fail("no") end
docker.remove(part.name)`)
	for range 4 {
		d.main(recipe, "--allow", "empty-lists")
		d.main(recipe, "fail=yes", "--allow", "empty-lists")
	}
	ended, _ := filepath.Glob(filepath.Join(d.state, "runs", "*.jsonl"))
	if len(ended) != 8 {
		code, out := d.main(recipe)
		d.t.Fatalf("%d runs: exit %d, %s", len(ended), code, out)
	}
	for _, path := range ended[:3] {
		data, err := os.ReadFile(path)
		if err != nil {
			d.t.Fatal(err)
		}
		data = data[:bytes.LastIndexByte(data[:len(data)-1], '\n')+1]
		write(d.t, strings.TrimSuffix(path, ".jsonl")+".open", string(data))
		if err := os.Remove(path); err != nil {
			d.t.Fatal(err)
		}
	}
}

// harm changes some files as a disk, a crash or a hand may.
func harm(t *testing.T, rnd *rand.Rand, files []string) {
	for range 1 + rnd.IntN(4) {
		path := files[rnd.IntN(len(files))]
		data, err := os.ReadFile(path)
		if err != nil || len(data) == 0 {
			continue
		}
		switch at := rnd.IntN(len(data)); rnd.IntN(6) {
		case 0:
			data = data[:at]
		case 1:
			data = append(data[:at], make([]byte, rnd.IntN(1<<16))...)
		case 2:
			data = slices.Delete(data, at, min(len(data), at+1+rnd.IntN(100)))
		case 3:
			data = slices.Insert(data, at, data[rnd.IntN(at+1):at]...)
		default:
			for range 1 + rnd.IntN(3) {
				data[rnd.IntN(len(data))] ^= 1 << rnd.IntN(8)
			}
		}
		write(t, path, string(data))
	}
}

// Whatever happened to the files of a state directory: commands end, none is a bug,
// and a run whose journal does not begin as it should is named. DAMAGES is how many
// directories are tried; 6 without.
func TestADamagedStateDirectoryIsSaidAndNotMore(t *testing.T) {
	t.Parallel()
	world, err := sim.New(sim.Options{Clock: clock.Wall{}, State: &state.State{
		Format: state.Format, Engines: []state.Engine{{Images: []state.Image{{Ref: "app:1"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer world.Close()
	engine := httptest.NewServer(world.Engine(""))
	defer engine.Close()
	origin := &damaged{t: t, state: t.TempDir(), docker: "tcp://" + engine.Listener.Addr().String(), redis: "redis://" + miniredis.RunT(t).Addr()}
	origin.fill()
	times, err := strconv.Atoi(os.Getenv("DAMAGES"))
	if err != nil {
		times = 6
	}
	for seed := range times {
		d := &damaged{t: t, state: t.TempDir(), docker: origin.docker, redis: origin.redis}
		if err := os.CopyFS(d.state, os.DirFS(origin.state)); err != nil {
			t.Fatal(err)
		}
		var files []string
		for _, pattern := range []string{"runs/*", "runs/*", "sources/*", "locks/*"} {
			found, _ := filepath.Glob(filepath.Join(d.state, pattern))
			files = append(files, found...)
		}
		harm(t, rand.New(rand.NewPCG(uint64(seed), 3)), files)
		d.look(seed)
	}
}

func (d *damaged) look(seed int) {
	journals, _ := filepath.Glob(filepath.Join(d.state, "runs", "*"))
	var bad []string
	for _, path := range journals {
		data, err := os.ReadFile(path)
		first, _, whole := bytes.Cut(data, []byte("\n"))
		if err != nil || !whole || !isWhole(first) {
			bad = append(bad, strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
		}
	}
	code, out := d.main("runs", "-v")
	for _, id := range bad {
		if code != 25 || !strings.Contains(out, id+"  ?") {
			d.t.Errorf("directory %d: exit %d, and %s is not said to be damaged:\n%s", seed, code, id, out)
		}
	}
	for _, path := range journals {
		if id := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)); !strings.Contains(out, id) {
			d.t.Errorf("directory %d: run %s is not listed:\n%s", seed, id, out)
		}
	}
	commands := [][]string{
		{"runs", "--json"},
		{"history", "shop"},
		{"history", "shop", "--json"},
		{"lock", "status", "shop"},
		{"approve"},
		{"abort", "-n"},
		{"resume"},
		{"resume"},
		{"abort"},
		{filepath.Join(d.state, "shop.lua"), "--allow", "empty-lists"},
		{"runs"},
	}
	for _, path := range journals {
		id := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		commands = append([][]string{{"show", id}, {"show", id, "--json"}, {"logs", id}, {"logs", id, "--json"}}, commands...)
	}
	for _, args := range commands {
		if code, out := d.main(args...); code == 70 || code < 0 || strings.Contains(out, "goroutine ") {
			d.t.Errorf("directory %d: %q: exit %d:\n%s", seed, args, code, out)
		}
	}
}

// isWhole reports whether a journal's line has the checksum that it begins with.
func isWhole(line []byte) bool {
	const at = len(`{"crc":"`)
	sum, err := strconv.ParseUint(string(line[min(at, len(line)):min(at+8, len(line))]), 16, 32)
	return err == nil && bytes.HasPrefix(line, []byte(`{"crc":"`)) && uint32(sum) == crc32.Checksum(line[at+8:], crc32.MakeTable(crc32.Castagnoli))
}

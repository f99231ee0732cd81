package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The worlds in which the page's commands are rehearsed: nothing is there yet, and two
// releases were deployed.
const (
	webImages = `{"ref": "postgres:16", "expose": ["5432"]},
  {"ref": "shop:1.0", "expose": ["8000"]}, {"ref": "shop:1.1", "expose": ["8000"]}, {"ref": "shop:1.2", "expose": ["8000"]}`
	webFresh = `{"mepc_world": 1, "source": "a test", "engines": [{"images": [` + webImages + `]}], "routers": [{"address": "127.0.0.1:8080"}]}`
	webLater = `{"mepc_world": 1, "source": "a test", "engines": [{"images": [` + webImages + `],
 "networks": [{"name": "shop", "subnet": "172.20.0.0/16"}],
 "containers": [
  {"name": "shop-db", "image": "postgres:16", "networks": [{"network": "shop", "ip": "172.20.0.2", "aliases": ["db"]}]},
  {"name": "shop-0.9-old", "image": "shop:1.0", "status": "exited", "network_mode": "shop", "networks": [{"network": "shop"}],
   "labels": {"mepc.app": "shop", "mepc.release": "old", "mepc.version": "0.9", "mepc.image": "shop:1.0", "mepc.port": "8000", "mepc.replica": "1", "mepc.restart": "always"}},
  {"name": "shop-0.9-now", "image": "shop:1.2", "restart": "always", "network_mode": "shop", "networks": [{"network": "shop", "ip": "172.20.0.3"}],
   "labels": {"mepc.app": "shop", "mepc.release": "now", "mepc.version": "0.9", "mepc.image": "shop:1.2", "mepc.port": "8000", "mepc.replica": "1", "mepc.restart": "always"}}]}],
 "redis": {"frontend:shop.example.com": {"list": ["shop", "http://172.20.0.3:8000"]}, "frontend:www.example.com": {"list": ["shop", "http://172.20.0.3:8000"]},
  "mepc:served:shop": {"hash": {"shop.example.com": "now old", "www.example.com": "now old"}}},
 "routers": [{"address": "127.0.0.1:8080"}]}`
)

var (
	pageFile    = regexp.MustCompile("`recipes/([a-z.]+)`[^`]*\n\n```[a-z]+\n([^`]*)```")
	pageCommand = regexp.MustCompile(`(?m)^    mepc-run (.*)$`)
)

// TestTheWebAppPageWorks rehearses the commands of docs/webapp.md with the files that the
// page shows.
func TestTheWebAppPageWorks(t *testing.T) {
	page, err := os.ReadFile("../../docs/webapp.md")
	if err != nil {
		t.Fatal(err)
	}
	var script, files strings.Builder
	script.WriteString("guarded\nenv DB_PASSWORD=correct-horse\n")
	shown := pageFile.FindAllStringSubmatch(string(page), -1)
	commands := pageCommand.FindAllStringSubmatch(string(page), -1)
	if len(shown) != 3 || len(commands) != 6 {
		t.Fatalf("the page has %d files and %d commands", len(shown), len(commands))
	}
	for _, c := range commands {
		args := c[1]
		if strings.HasPrefix(args, "init ") {
			fmt.Fprintf(&script, "exits 0 mepc-run %s\n", args)
			for _, f := range shown {
				fmt.Fprintf(&script, "cp %s shop/recipes/%s\n", f[1], f[1])
			}
			script.WriteString("cd shop\nexits 0 mepc-run check\n! stdout .\n")
			continue
		}
		world := "later"
		if strings.Contains(args, "database.lua") || strings.Contains(args, "shop:1.0") {
			world = "fresh"
		}
		if strings.Contains(args, "image=") {
			world = "later"
		}
		fmt.Fprintf(&script, "exits 0 mepc-run -n %s --world ../%s.json\n! stdout correct-horse\n", strings.TrimPrefix(args, "-n "), world)
		switch {
		case strings.Contains(args, "image="):
			script.WriteString("stdout 'frontend:shop.example.com'\nstdout 'frontend:www.example.com'\nstdout 'docker.stop shop-0.9-now'\n")
		case strings.Contains(args, "database"):
			script.WriteString("stdout 'docker.create shop-db'\n")
		default:
			script.WriteString("stdout 'docker.start shop-0.9-old'\nstdout 'docker.stop shop-0.9-now'\n")
		}
	}
	for _, f := range shown {
		fmt.Fprintf(&files, "-- %s --\n%s", f[1], f[2])
	}
	fmt.Fprintf(&files, "-- fresh.json --\n%s\n-- later.json --\n%s\n", webFresh, webLater)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "webapp.txtar"), []byte(script.String()+files.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: dir, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"exits": exits, "guarded": func(ts *testscript.TestScript, _ bool, _ []string) { guarded(t, ts) },
	}, Setup: plainEnv})
}

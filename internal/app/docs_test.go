package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mepc/mepc-run/recipes"
)

// Every shell line and every block of Lua on a page is run. A page is written so:
//
//	indented blocks, and ```sh     shell lines: what follows # is a comment
//	    $ mepc-run ...             a shell line, and below it lines of what it prints;
//	                               ... stands for more
//	```text                        no shell lines
//	```lua                         a recipe, or a spec, that runs as it stands
//	<!-- not run: REASON -->       before a block that cannot be run; only the flags of
//	                               its mepc-run lines are checked
//	`name.lua`:                    before a ```block: the block is that file
//
// Commands that change servers are rehearsed in docsWorld, in the order of the page.

// docsWorld has what the pages deploy: images of mepc/app and shop, a release of app that
// serves, and one that is kept. example.json has the host app.example.com in its place.
const docsWorld = `{"mepc_world": 1, "source": "the docs", "engines": [{
 "images": [{"ref": "postgres:16", "expose": ["5432"]}, {"ref": "mepc/app:0.9", "expose": ["8080"]},
  {"ref": "mepc/app:1.0", "expose": ["8080"]}, {"ref": "mepc/app:1.1", "expose": ["8080"]}, {"ref": "mepc/app:1.2", "expose": ["8080"],
   "behaviour": {"commands": {"/app migrate": {}}}},
  {"ref": "healthy:1", "healthcheck": {"test": ["CMD", "/app"]}}, {"ref": "mepc/app-base:1"},
  {"ref": "shop:1.0", "expose": ["8000"]}, {"ref": "shop:1.1", "expose": ["8000"]}],
 "networks": [{"name": "shop", "subnet": "172.20.0.0/16"}],
 "containers": [
  {"name": "app-blue", "image": "mepc/app:1.0", "status": "exited"}, {"name": "app-1", "image": "healthy:1"},
  {"name": "app-2", "image": "healthy:1"}, {"name": "app-3", "image": "healthy:1"},
  {"name": "db", "image": "postgres:16", "networks": [{"network": "bridge", "ip": "172.17.0.9"}]},
  {"name": "app-0.8-old", "image": "mepc/app:0.9", "status": "exited",
   "labels": {"mepc.app": "app", "mepc.release": "old", "mepc.version": "1.0", "mepc.image": "mepc/app:0.9", "mepc.port": "8080", "mepc.replica": "1", "mepc.restart": "always"}},
  {"name": "app-0.9-now", "image": "mepc/app:0.9", "restart": "always", "networks": [{"network": "bridge", "ip": "172.17.0.3"}],
   "labels": {"mepc.app": "app", "mepc.release": "now", "mepc.version": "0.9", "mepc.image": "mepc/app:0.9", "mepc.port": "8080", "mepc.replica": "1", "mepc.restart": "always"}}]},
 {"name": "ssh://deploy@prod.example.com", "images": [{"ref": "mepc/app:1.0"}], "containers": [{"name": "app-blue", "image": "mepc/app:1.0", "status": "exited"}]},
 {"name": "ssh://deploy@10.0.0.11"}, {"name": "ssh://deploy@10.0.0.12"}],
 "redis": {"frontend:appserver": {"list": ["app", "http://172.17.0.3:8080"]},
  "mepc:served:app": {"hash": {"appserver": "now old"}}},
 "routers": [{"address": "127.0.0.1:8080", "admin": "127.0.0.1:8081", "rate": 20}]}`

// shellBlock is some shell lines of a page, and where they stand.
type shellBlock struct {
	line   int
	lines  []string
	reason string // why they are not run; empty: they are
}

// luaBlock is Lua on a page that is not a file.
type luaBlock struct {
	line           int
	source, reason string
}

// specWords lists the functions that only specs have.
var specWords = regexp.MustCompile(`\b(describe|it|world|scenario)[({]`)

// script returns the lines of a testscript that run the block, and the file that they
// run: a spec, or a recipe in docsWorld.
func (b luaBlock) script() (lines, file, source string) {
	if b.reason != "" {
		return "", "", ""
	}
	if !specWords.MatchString(b.source) {
		file = fmt.Sprintf("line%d.lua", b.line)
		lines = "works mepc-run -n " + file + " --world $WORK/docs.json --env REGION --secret db_password=env:DB_PASSWORD"
		if strings.Contains(b.source, "required = true") {
			lines += " image=mepc/app:1.1"
		}
		return lines + "\n", file, b.source
	}
	if source = b.source; !strings.HasPrefix(source, "describe") && !strings.HasPrefix(source, "it") && !strings.HasPrefix(source, "scenario") {
		source = "it('runs', function()\n" + source + "end)\n"
	}
	file = fmt.Sprintf("blocks/line%d_spec.lua", b.line)
	return "works mepc-run test " + file + "\n", file, source
}

var (
	notRun   = regexp.MustCompile(`^<!-- not run: (.+) -->$`)
	fileName = regexp.MustCompile("`([a-z./_-]+\\.(?:lua|env))`[^`]*:$")
)

// pageOf reads the shell blocks of a page, and the files that it shows.
func pageOf(t *testing.T, path string) (blocks []shellBlock, luas []luaBlock, files map[string]string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	reason, text := "", "" // the comment before the next block, and the line of text
	lines := strings.Split(string(page), "\n")
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		fenced, indented := strings.HasPrefix(l, "```"), strings.HasPrefix(l, "    ") && i > 0 && lines[i-1] == ""
		switch {
		case fenced:
			end := i + 1 + slices.Index(lines[i+1:], "```")
			if name := fileName.FindStringSubmatch(text); name != nil && l != "```text" {
				files[name[1]] = strings.Join(lines[i+1:end], "\n") + "\n"
			} else if l == "```lua" {
				luas = append(luas, luaBlock{i + 2, strings.Join(lines[i+1:end], "\n") + "\n", reason})
			} else if l == "```sh" {
				blocks = append(blocks, shellBlock{i + 2, lines[i+1 : end], reason})
			}
			i = end
		case indented:
			b := shellBlock{line: i + 1, reason: reason}
			for ; i < len(lines) && (strings.HasPrefix(lines[i], "    ") || lines[i] == ""); i++ {
				b.lines = append(b.lines, strings.TrimPrefix(lines[i], "    "))
			}
			i--
			if !strings.HasPrefix(b.lines[0], " ") { // in a list it is something else
				blocks = append(blocks, b)
			}
		case notRun.MatchString(l):
			reason = notRun.FindStringSubmatch(l)[1]
			continue
		case l == "":
			continue
		}
		if reason, text = "", l; fenced || indented {
			text = ""
		}
	}
	return blocks, luas, files
}

// shellCommand is a command of a block, and the lines that are shown below it.
type shellCommand struct {
	words string
	shown []string
}

// commands joins continued lines. In a block with a $ the other lines are output.
func (b shellBlock) commands() (all []shellCommand) {
	transcript := strings.HasPrefix(b.lines[0], "$ ")
	for i := 0; i < len(b.lines); i++ {
		l, isCommand := strings.CutPrefix(b.lines[i], "$ ")
		switch {
		case transcript && !isCommand:
			last := &all[len(all)-1]
			last.shown = append(last.shown, l)
			continue
		case strings.TrimSpace(l) == "" || strings.HasPrefix(l, "#"):
			continue
		}
		for strings.HasSuffix(l, "\\") && i+1 < len(b.lines) {
			i++
			l = strings.TrimSuffix(l, "\\") + strings.TrimSpace(b.lines[i])
		}
		if at := strings.Index(l, " #"); at >= 0 {
			l = l[:at]
		}
		all = append(all, shellCommand{words: strings.TrimSpace(l)})
	}
	return all
}

// atOnce are the commands that are run as they stand: they ask no server.
var atOnce = []string{"init", "check", "test", "doc", "help", "completion", "version", "runs", "show", "logs", "history", "repl"}

// script returns the lines of a testscript that run cmd, and checks what is shown.
func (c shellCommand) script(reason string) (string, error) {
	words, env := strings.ReplaceAll(c.words, `"`, "'"), ""
	for strings.Contains(strings.Fields(words + " .")[0], "=") {
		first, rest, _ := strings.Cut(words, " ")
		words, env = rest, env+"env "+first+"\n"
	}
	args := strings.Fields(words)
	switch {
	case len(args) == 2 && args[0] == "cd":
		return words + "\n", nil
	case len(args) == 0 || args[0] != "mepc-run":
		if reason == "" {
			return "", fmt.Errorf("%q is not run: say why in a comment before the block", c.words)
		}
		return "", nil
	case reason != "", slices.Contains(args, "--watch"): // that would run until it is stopped
		return env + "exits 0 " + words + " --help\n", nil // its flags are parsed
	case len(args) > 1 && slices.Contains(atOnce, args[1]), slices.Contains(args, "--help"), slices.Contains(args, "--world"):
		return env + "works " + words + "\n", nil
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(words, "mepc-run "), "-n ")
	world := "docs.json"
	if strings.Contains(rest, "app.example.com") {
		world = "example.json"
	}
	return env + "works mepc-run -n " + rest + " --world $WORK/" + world + "\n", nil
}

func TestWhatThePagesShowRuns(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	bluegreen, err := recipes.FS.ReadFile("bluegreen.lua")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, page := range append(pages, "../../README.md") {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if name == "webapp" {
			continue // TestTheWebAppPageWorks
		}
		blocks, luas, files := pageOf(t, page)
		var script strings.Builder
		script.WriteString("guarded\nenv DB_PASSWORD=correct-horse\nenv XDG_STATE_HOME=$WORK/state\nexits 0 mepc-run ran.lua\nmkdir run/secrets\ncd project\n")
		for _, b := range blocks {
			fmt.Fprintf(&script, "# line %d\n", b.line)
			for _, c := range b.commands() {
				lines, err := c.script(b.reason)
				if err != nil {
					t.Errorf("%s:%d: %v", page, b.line, err)
				}
				script.WriteString(lines)
				for i, s := range c.shown {
					if s = strings.TrimSpace(s); s != "" && s != "..." && b.reason == "" {
						fmt.Fprintf(&script, "shows %d %s\n", i, "'"+strings.ReplaceAll(s, "'", "''")+"'")
					}
				}
			}
		}
		script.WriteString("cd $WORK/project\n")
		for _, b := range luas {
			if lines, file, source := b.script(); file != "" {
				script.WriteString(lines)
				files[file] = source
			}
		}
		fmt.Fprintf(&script, "-- docs.json --\n%s\n-- example.json --\n%s\n-- ran.lua --\nlog('ran')\n-- project/deploy.lua --\nlog('deployed')\n-- project/recipes/bluegreen.lua --\n%s-- project/recipes/shop.env --\nGREETING=hello\n",
			docsWorld, strings.ReplaceAll(docsWorld, "appserver", "app.example.com"), bluegreen)
		for file, text := range files {
			fmt.Fprintf(&script, "-- project/%s --\n%s", file, text)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".txtar"), []byte(script.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{Dir: dir, Cmds: map[string]func(*testscript.TestScript, bool, []string){
		"exits": exits, "works": works, "shows": shows,
		"guarded": func(ts *testscript.TestScript, _ bool, _ []string) { guarded(t, ts) },
	}, Setup: plainEnv, ContinueOnError: true})
}

// works runs a command, and wants it to end well.
func works(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[0], args[1:]...)
	out := settled(ts, ts.ReadFile("stdout")+ts.ReadFile("stderr"))
	ts.Check(os.WriteFile(ts.MkAbs("../said"), []byte(out), 0o600))
	if err != nil {
		ts.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// shows wants a line in what the last command said.
func shows(ts *testscript.TestScript, _ bool, args []string) {
	said := ts.ReadFile("../said")
	if line := settled(ts, args[1]); !strings.Contains(said, line) {
		ts.Fatalf("the page shows %q, and the command does not say it", line)
	}
}

func TestAPageIsReadAsItsReadersDo(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "page.md")
	text := "# Page\n\n`a.lua`:\n\n```lua\nlog(1)\n```\n\n    mepc-run a.lua x=1 \\\n      y=2   # twice\n\n- a list\n\n      no command\n\n" +
		"<!-- not run: it is yours -->\n\n    make\n\n```text\nmepc-run RECIPE\n```\n\n```lua\nlog(2)\n```\n\n    $ mepc-run a.lua\n    done\n"
	if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	blocks, luas, files := pageOf(t, page)
	var all []string
	for _, b := range blocks {
		for _, c := range b.commands() {
			all = append(all, fmt.Sprintf("%d %s %q %q", b.line, c.words, c.shown, b.reason))
		}
	}
	want := []string{`9 mepc-run a.lua x=1 y=2 [] ""`, `18 make [] "it is yours"`, `28 mepc-run a.lua ["done" ""] ""`}
	if d := cmp.Diff(want, all); d != "" {
		t.Error(d)
	}
	if len(luas) != 1 || luas[0].source != "log(2)\n" {
		t.Errorf("the page's Lua: %v", luas)
	}
	if d := cmp.Diff(map[string]string{"a.lua": "log(1)\n"}, files); d != "" {
		t.Error(d)
	}
}

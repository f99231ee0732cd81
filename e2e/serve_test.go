package e2e

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/mepc/mepc-run/internal/lab"
)

// office is a server of a directory of recipes.
type office struct {
	*stage
	lab             *lab.Lab
	dir, url, token string
	args            []string
	cmd             *exec.Cmd
	log             *bytes.Buffer
}

const hubSecret = "a secret of twenty-four."

// open starts mepc-run serve.
func openOffice(t *testing.T, files map[string]string) *office {
	t.Helper()
	s, l := own(t, lab.Options{})
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	o := &office{stage: s, lab: l, dir: t.TempDir(), url: "http://" + address, log: &bytes.Buffer{}}
	for name, text := range files {
		o.write(name, text)
	}
	o.args = []string{
		"serve", o.dir, "--listen", address, "--docker", s.docker, "--redis", s.redis, "--router", s.router, "--secret", "hub=env:HUB", "--stop-timeout", "5s",
	}
	o.begin()
	t.Cleanup(func() {
		_ = o.cmd.Process.Signal(os.Interrupt)
		_ = o.cmd.Wait()
		if t.Failed() {
			t.Log(o.log.String())
		}
	})
	return o
}

// begin starts the server, again after a crash.
func (o *office) begin() {
	o.t.Helper()
	o.cmd = o.command(o.args...)
	o.cmd.Env = append(o.cmd.Env, "HUB="+hubSecret)
	o.cmd.Stderr = o.log
	if err := o.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.eventually("the server", func() bool {
		res, err := http.Get(o.url + "/readyz")
		if err == nil {
			res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusNoContent
	})
	token, err := os.ReadFile(filepath.Join(o.state, "serve", "token"))
	if err != nil {
		o.t.Fatal(err)
	}
	o.token = strings.TrimSpace(string(token))
}

func (o *office) crash() {
	o.t.Helper()
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
	o.begin()
}

func (o *office) write(name, text string) {
	o.t.Helper()
	p := filepath.Join(o.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		o.t.Fatal(err)
	}
}

// ask asks the API and decodes its answer.
func (o *office) ask(method, path string, body, answer any, header ...string) int {
	o.t.Helper()
	var sent io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		sent = bytes.NewReader(b)
	default:
		data, err := json.Marshal(body)
		if err != nil {
			o.t.Fatal(err)
		}
		sent = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(o.t.Context(), method, o.url+path, sent)
	if err != nil {
		o.t.Fatal(err)
	}
	if len(header) == 0 {
		req.Header.Set("Authorization", "Bearer "+o.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && answer != nil {
		err = json.Unmarshal(data, answer)
	}
	if err != nil {
		o.t.Fatalf("%s %s: %v\n%s", method, path, err, data)
	}
	return res.StatusCode
}

// request is one for a run.
type request struct {
	ID, State, Run string
	Result         struct{ Status, Text string }
}

// ended waits until a request has ended so.
func (o *office) ended(id, status string) {
	o.t.Helper()
	var got struct{ Request request }
	o.eventually("the run "+id, func() bool {
		o.ask("GET", "/api/v1/runs/"+id, nil, &got)
		return got.Request.State == "done"
	})
	if got.Request.Result.Status != status {
		o.t.Errorf("the run %s is %s: %s", id, got.Request.Result.Status, got.Request.Result.Text)
	}
}

// deployer deploys what it is told, as bluegreen does.
func (o *office) deployer(more string) string {
	return fmt.Sprintf(`-- Deploys the shop.
%s
local deployment = require("lib.deployment")
local p = params{image = {required = true, doc = "what to deploy"}, ready = {default = "0s", doc = "how long it takes to start"}}
local d = deployment.open{
  image = p.image, app = %q, host = {%q}, port = 8080, replicas = 1, health = "/health", wait = 20, confirm = "/version", confirm_max = 15,
  expect = p.image:match(":(.*)$"), drain = 0.1, drain_max = 60, admin = {%q}, links = {}, env = {READY_AFTER = p.ready}, headers = {}, router_ca = "", secrets = {},
  identifier = "", network = "", advertise = "", publish = "0.0.0.0", restart = "always", keep = 1, retain = 5, dialect = "hipache",
}
d:start()
if d.settled then return end
d:switch()
d:confirm()
d:finish()
`, more, o.app, o.app, o.admin)
}

func sign(body []byte) string {
	mac := hmac.New(sha256.New, []byte(hubSecret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// Deliverables go to production by themselves: by a signed webhook, a new tag on the
// engine, an entry in a stream; once each, also when the server is killed.
func TestServe(t *testing.T) {
	o := openOffice(t, nil)
	o.write("shop.lua", o.deployer(fmt.Sprintf(`on.webhook{secret = "hub", fields = {image = "package.ref"}}
on.image{name = %q}
on.redis{stream = "deploys"}`, o.app+"/app:9.*")))
	var known []struct {
		Name, Version, Trouble string
		Triggers               []string
	}
	o.eventually("the recipe", func() bool {
		o.ask("GET", "/api/v1/recipes", nil, &known)
		return len(known) == 2 && known[1].Version != "" // after reconcile, which every server has
	})
	hook := func(version, delivery string, header ...string) (int, request) {
		body := []byte(fmt.Sprintf(`{"package": {"ref": %q}}`, o.image(version)))
		var got request
		code := o.ask("POST", "/webhooks/shop", body, &got, append([]string{"X-Hub-Signature-256", sign(body), "X-GitHub-Delivery", delivery}, header...)...)
		return code, got
	}
	code, first := hook("1.0", "a")
	if code != http.StatusAccepted {
		t.Fatalf("a signed webhook: %d %+v", code, first)
	}
	if code, again := hook("1.0", "a"); again.ID != first.ID {
		t.Errorf("the same delivery: %d %+v, and first %+v", code, again, first)
	}
	if code, _ := hook("1.0", "b", "X-Hub-Signature-256", sign([]byte("another"))); code != http.StatusUnauthorized {
		t.Errorf("a wrong signature: %d", code)
	}
	o.ended(first.ID, "ok")
	o.serves("1.0", 1)

	audience := o.load()
	// The server is killed while a run goes on, and another request waits.
	_, second := hook("1.1", "c")
	o.eventually("the new container", func() bool { return len(o.running("1.1")) == 1 })
	_, third := hook("1.2", "d")
	o.crash()
	o.ended(second.ID, "ok")
	o.ended(third.ID, "ok")
	o.serves("1.2", 1)

	// A tag that is new on the engine.
	if err := o.engine.ImageTag(t.Context(), o.image("1.3"), o.app+"/app:9.1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = o.stage.engine.ImageRemove(context.Background(), o.app+"/app:9.1", image.RemoveOptions{Force: true})
	})
	o.eventually("the run of a new tag", func() bool { return o.count("failed")+o.count("ok") >= 4 })
	// An entry in a stream.
	if err := o.store.Do(t.Context(), "XADD", "deploys", "*", "image", o.image("1.0")).Err(); err != nil {
		t.Fatal(err)
	}
	o.eventually("the run of an entry", func() bool { return len(o.running("1.0")) == 1 && o.count("ok") >= 4 })
	audience.end()
	if n, err := o.store.XPending(t.Context(), "deploys", "mepc-run").Result(); err != nil || n.Count != 0 {
		t.Errorf("the entry is not acknowledged: %+v, %v", n, err)
	}

	// A recipe that is broken stays out, and the last good one in.
	o.write("shop.lua", "params{")
	o.eventually("the trouble", func() bool {
		o.ask("GET", "/api/v1/recipes", nil, &known)
		return known[1].Trouble != ""
	})
	if known[1].Version == "" {
		t.Error("the last good version is gone")
	}
	var status struct{ Trouble []string }
	if o.ask("GET", "/api/v1/status", nil, &status); len(status.Trouble) != 1 {
		t.Errorf("status tells %q", status.Trouble)
	}
	if code := o.ask("GET", "/api/v1/status", nil, nil, "Authorization", "Bearer wrong"); code != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d", code)
	}
}

// The engine restarts, and the app's container comes back where another one was: the
// server sends the traffic there, though nobody asked it to.
func TestServeRepairsTheRoutingWhenItsEngineComesBack(t *testing.T) {
	o := openOffice(t, nil)
	o.start(o.app+"-first", o.image("1.0"), container.Config{})
	o.deploy("1.0")
	before := o.readHipache(o.app).backends
	o.remove(o.app + "-first") // the first address is free
	o.eventually("the server to have seen it", func() bool {
		seen, _ := filepath.Glob(filepath.Join(o.state, "serve", "seen", "*.json"))
		return slices.ContainsFunc(seen, func(name string) bool {
			text, err := os.ReadFile(name)
			return err == nil && strings.Contains(string(text), strings.TrimSuffix(strings.TrimPrefix(before[0], "http://"), ":8080"))
		})
	})
	if err := o.lab.Engine.Kill9(); err != nil {
		t.Fatal(err)
	}
	if err := o.lab.Engine.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.eventually("the repair", func() bool { return !slices.Equal(o.readHipache(o.app).backends, before) })
	o.eventually("the end of the run", func() bool { return o.count("ok") == 1 })
	o.serves("1.0", 1)
}

// count returns the number of runs that ended so.
func (o *office) count(status string) int {
	var runs []struct{ Status string }
	o.ask("GET", "/api/v1/runs?limit=500", nil, &runs)
	n := 0
	for _, r := range runs {
		if r.Status == status {
			n++
		}
	}
	return n
}

// browser opens a real one. E2E_SHOTS names a directory for what it shows.
func browser(t *testing.T) (ctx context.Context, shot func(name string)) {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	if path == "" {
		t.Skip("no Chromium on this machine: apt-get install chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1200, 900), chromedp.UserDataDir(t.TempDir()))
	alloc, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(alloc)
	t.Cleanup(end)
	ctx, late := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(late)
	return ctx, func(name string) {
		dir := os.Getenv("E2E_SHOTS")
		if dir == "" {
			return
		}
		var png []byte
		if err := chromedp.Run(ctx, chromedp.FullScreenshot(&png, 100)); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
			t.Error(err)
		}
	}
}

// What a person does on the page: sign in, rehearse, read the plan, carry it out,
// watch, approve, read a container's log; and sees a run by hand, a failure with its
// retry, a broken recipe, and the server come back.
func TestPage(t *testing.T) {
	o := openOffice(t, nil)
	o.write("shop.lua", o.deployer(""))
	o.write("promote.lua", `-- Promotes, when somebody says so.
params{image = {default = "shop:1.3"}, headers = {type = "map", default = {A = "b"}}}
step("ask", function() log("thank you, " .. approve("Promote 1.4 to production?", {timeout = "2m"})) end)`)
	o.write("fails.lua", `params{note = {default = ""}}
step("good", function() log("this was well") end)
step("bad", function() log.warn("this is not") fail("the disk is full", {hint = "free some"}) end)`)
	ctx, shot := browser(t)
	do := func(what string, actions ...chromedp.Action) {
		t.Helper()
		if err := chromedp.Run(ctx, actions...); err != nil {
			var text string
			_ = chromedp.Run(ctx, chromedp.Text("main", &text))
			t.Fatalf("%s: %v\nthe page shows:\n%s", what, err, text)
		}
	}
	see := func(selector, text string) chromedp.Action {
		return chromedp.Poll(fmt.Sprintf("[...document.querySelectorAll(%q)].some((e) => e.textContent.includes(%q))", selector, text), nil)
	}
	click := func(text string) chromedp.Action {
		once := chromedp.Click(fmt.Sprintf(`//button[contains(., %q)]`, text), chromedp.BySearch)
		return chromedp.ActionFunc(func(ctx context.Context) error {
			for {
				err := once.Do(ctx)
				if err == nil || !strings.Contains(err.Error(), "Could not find node") {
					return err
				}
				// The page was drawn again between the look for the button and the click.
			}
		})
	}
	open := func(path string) chromedp.Action { return chromedp.Navigate(o.url + path) }
	do("sign in", open("/"), chromedp.WaitVisible("#token"), see("#where", "serve/token"))
	shot("signin")
	do("sign in", chromedp.SendKeys("#token", o.token), click("Sign in"), see("h1", "Now"), see("#line", "live"))
	do("rehearse", open("/#/recipes/shop"), chromedp.WaitVisible("#param-image"),
		chromedp.SendKeys("#param-image", o.image("1.0")), click("Rehearse"), see("#plan .add", "docker.create"))
	shot("plan")
	do("carry it out", click("Carry out this plan"), see("h1 .tag", "ok"), see(".time li li", "docker.start"))
	shot("run")
	o.serves("1.0", 1)
	do("the traffic", open("/#/"), see("section h3", o.app), see(".split .new", "1.0 100 %"), see("section td time", "ago"))
	shot("now")
	do("a log", chromedp.Click(`//a[text()="Logs"]`, chromedp.BySearch), see("pre.log", "listening on"))
	do("last runs, and what was given to them", open("/#/recipes/shop"), see("td", "shop 1.0"), see("form > label", "image"))
	do("approve", open("/#/recipes/promote"), chromedp.SendKeys("#param-image", "shop:1.4"), click("Run without a plan"), see("section", "Promote 1.4 to production?"), see("section .version.new", "1.4"))
	shot("approval")
	do("approve", click("Approve"), see(".asked, h1 .tag, .time li", "pproved"), see("h1 .tag", "nothing to do"), see(".time li li", "thank you, "))
	do("a failure", open("/#/recipes/fails"), click("Run without a plan"), see("h1 .tag", "failed"), see(".notice", "next: free some"),
		see(".time li.step:not(.bad) > .mark", "✓"), see(".time li.step.bad > .mark", "✗"), see(".time li.step.bad li.warn", "this is not"))
	shot("failed")
	var before, after string
	do("retry", chromedp.Location(&before))
	do("retry", click("Retry"), chromedp.Poll("location.href != "+fmt.Sprintf("%q", before), nil), see("h1 .tag", "failed"), chromedp.Location(&after))
	if before == after {
		t.Error("a retry is no run of its own")
	}
	byHand := o.command("promote.lua")
	byHand.Dir = o.dir
	if err := byHand.Start(); err != nil {
		t.Fatal(err)
	}
	do("a run by hand is seen, and answered", open("/#/"), see("td", "promote.lua"), see("section", "Promote 1.4 to production?"), click("Reject"), see(".asked", "Rejected"))
	_ = byHand.Wait()
	o.write("shop.lua", "params{")
	do("a broken recipe", open("/#/recipes"), see(".notice.bad", "shop.lua:1"))
	shot("broken")
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
	do("the server is away", see("#line", "does not answer"))
	o.begin()
	do("the server is back", see("#line", "live"))
	do("history", open("/#/runs?recipe=shop"), see("td", "shop"))
	shot("runs")
	do("a phone", chromedp.EmulateViewport(390, 800))
	for path, sign := range map[string]string{
		"/#/": o.app, "/#/recipes": "promote", "/#/recipes/promote": "headers", "/#/runs": "fails", "/#/runs/" + after[strings.LastIndex(after, "/")+1:]: "this is not",
	} {
		var wide, object bool
		do(path, open(path), see("main", sign), chromedp.Evaluate("document.documentElement.scrollWidth > innerWidth", &wide),
			chromedp.Evaluate("document.body.innerText.includes('[object') || [...document.querySelectorAll('input')].some((i) => (i.value + i.placeholder).includes('[object'))", &object))
		if wide || object {
			t.Errorf("%s on a phone: wider than the screen: %v, [object Object]: %v", path, wide, object)
		}
		shot("phone" + strings.ReplaceAll(strings.TrimPrefix(path, "/#/"), "/", "-"))
	}
}

package queue_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/clock"
	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/queue"
)

// plant is a server without processes: a run of it lasts until end is called.
type plant struct {
	t   *testing.T
	dir *journal.Dir
	*queue.Queue

	dead atomic.Bool

	mu     sync.Mutex
	runs   []string // that were started, in order
	going  map[string]*process
	refuse error // of Start
}

// process is a run: this test again, as a process that has the request's file.
type process struct {
	server *plant
	cmd    *exec.Cmd
	ends   io.Closer // its standard input: it ends well when that ends
	over   chan struct{}
}

func (p *process) Wait() string {
	_ = p.cmd.Wait() // it may be killed
	close(p.over)
	if p.server.dead.Load() {
		select {} // who waits is no more
	}
	return ""
}

// end ends the run: well, or, with dead, by kill -9.
func (p *process) end(dead bool) {
	if dead {
		_ = p.cmd.Process.Kill()
	}
	_ = p.ends.Close()
	<-p.over
}

func (p *process) Interrupt() error { return p.ends.Close() }
func (p *process) Kill() error      { return p.cmd.Process.Kill() }

func TestMain(m *testing.M) {
	if a := os.Getenv("TEST_ATTEMPT"); a != "" {
		if err := attempt(a); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// attempt is a run.
func attempt(told string) error {
	var a queue.Attempt
	if err := json.Unmarshal([]byte(told), &a); err != nil {
		return err
	}
	file := os.NewFile(3, "request")
	r, _, err := queue.Read(file)
	if err != nil {
		return err
	}
	jour, err := journal.Open(os.Getenv("TEST_STATE"), clock.Wall{}).Begin(journal.Header{ID: a.ID, App: r.App, Recipe: r.Recipe, Resumes: a.Resumes},
		journal.Settings{Clean: func(s string) string { return s }})
	if err != nil {
		return err
	}
	if err := queue.Begun(file, a.ID); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return jour.End("ok", 0, 0, nil)
}

func open(t *testing.T, path string, opts queue.Options) *plant {
	t.Helper()
	p := &plant{t: t, dir: journal.Open(path, clock.Wall{}), going: map[string]*process{}}
	opts.Journal, opts.Start = p.dir, p.start
	if opts.Clock == nil {
		opts.Clock = clock.Wall{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Workers == 0 {
		opts.Workers = 8
	}
	if opts.Max == 0 {
		opts.Max = 100
	}
	opts.Keep = 100
	var err error
	if p.Queue, err = queue.Open(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// crash ends the server as kill -9 does: its processes go on.
func (p *plant) crash() {
	p.dead.Store(true)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.Close(over)
}

func (p *plant) close() {
	if p.dead.Load() {
		return
	}
	p.mu.Lock()
	for _, r := range p.going {
		_ = r.ends.Close()
	}
	p.mu.Unlock()
	_ = p.Close(context.Background())
}

func (p *plant) start(r *queue.Request, a queue.Attempt, file *os.File) (queue.Process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(p.refuse, errPlanted) {
		panic(p.refuse)
	}
	if p.refuse != nil {
		return nil, p.refuse
	}
	told, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TEST_ATTEMPT="+string(told), "TEST_STATE="+p.dir.Path(), "GORACE=atexit_sleep_ms=0")
	cmd.ExtraFiles, cmd.Stderr = []*os.File{file}, os.Stderr
	ends, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	run := &process{p, cmd, ends, make(chan struct{})}
	p.runs, p.going[a.ID] = append(p.runs, r.Recipe+" "+r.App), run
	return run, nil
}

// add asks for a run.
func (p *plant) add(recipe, app string, more ...func(*queue.Request)) queue.Entry {
	p.t.Helper()
	r := queue.Request{Recipe: recipe, App: app, Source: "test"}
	for _, m := range more {
		m(&r)
	}
	e, _, err := p.Add(r)
	if err != nil {
		p.t.Fatal(err)
	}
	return e
}

// when waits until ok.
func (p *plant) when(what string, ok func() bool) {
	p.t.Helper()
	late := time.After(30 * time.Second)
	for {
		changed := p.Changed()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Millisecond): // a run begins without a change of the queue
		case <-late:
			p.t.Fatalf("waited in vain for %s; started %q", what, p.started())
		}
	}
}

func (p *plant) started() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.runs)
}

// run waits until a run has begun.
func (p *plant) run(id string) *process {
	p.t.Helper()
	p.when("the run "+id, func() bool {
		run, err := p.dir.Get(id)
		p.mu.Lock()
		defer p.mu.Unlock()
		return err == nil && run != nil && p.going[id] != nil
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.going[id]
}

func (p *plant) ended(id, status string) {
	p.t.Helper()
	p.when(id+" to be "+status, func() bool {
		e, ok := p.Get(id)
		return ok && e.State == queue.Done && e.Result.Status == status
	})
}

func TestOneRunOfAnAppAtATimeInOrder(t *testing.T) {
	p := open(t, t.TempDir(), queue.Options{Workers: 2})
	first, second, other, third := p.add("a", "shop"), p.add("b", "shop"), p.add("c", "blog"), p.add("d", "mail")
	p.run(first.ID)
	p.run(other.ID)
	if e, _ := p.Get(third.ID); e.State != queue.Queued {
		t.Errorf("there are two workers, and a third run is %s", e.State)
	}
	p.run(other.ID).end(false)
	p.run(third.ID)
	if e, _ := p.Get(second.ID); e.State != queue.Queued {
		t.Errorf("a second run of an app is %s", e.State)
	}
	p.run(first.ID).end(false)
	p.run(second.ID)
	// The first two begin at the same time: neither waits for the other's process.
	got := p.started()
	slices.Sort(got[:2])
	if want := []string{"a shop", "c blog", "d mail", "b shop"}; !slices.Equal(got, want) {
		t.Errorf("started %q, want %q", got, want)
	}
}

func TestALaterRequestTakesThePlaceOfOneThatWaits(t *testing.T) {
	p := open(t, t.TempDir(), queue.Options{Max: 3})
	coalesce := func(r *queue.Request) { r.Coalesce = true }
	first := p.add("a", "shop", coalesce)
	p.run(first.ID)
	old, kept, latest := p.add("a", "shop", coalesce), p.add("a", "shop"), p.add("a", "shop", coalesce)
	p.ended(old.ID, queue.Superseded)
	if e, _ := p.Get(old.ID); e.Result.By != kept.ID {
		t.Errorf("%s took its place, and not %s", e.Result.By, kept.ID)
	}
	p.add("b", "shop")
	if _, _, err := p.Add(queue.Request{Recipe: "a", App: "shop"}); !errors.Is(err, queue.ErrFull) {
		t.Errorf("more wait than may: %v", err)
	}
	p.run(first.ID).end(false)
	p.run(kept.ID).end(false)
	p.run(latest.ID)
}

func TestADeliveryIsTakenOnce(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, queue.Options{})
	d := func(r *queue.Request) { r.Delivery = "42" }
	first := p.add("a", "shop", d)
	if again := p.add("a", "shop", d); again.ID != first.ID {
		t.Error("a second request of the same delivery is another one")
	}
	p.run(first.ID).end(false)
	p.ended(first.ID, "ok")
	p.close()
	p = open(t, dir, queue.Options{})
	if again := p.add("a", "shop", d); again.ID != first.ID || again.Result == nil {
		t.Errorf("after a restart the delivery is not known: %+v", again)
	}
	if n := len(p.started()); n > 0 {
		t.Errorf("%d runs were started", n)
	}
}

// What says the same is taken once, also under another delivery and after a restart;
// of another source it is something else.
func TestAContentIsTakenOnce(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, queue.Options{})
	as := func(source, delivery string) func(*queue.Request) {
		return func(r *queue.Request) { r.Source, r.Delivery, r.Content = source, delivery, "digest" }
	}
	first := p.add("a", "shop", as("hook", "1"))
	if again := p.add("a", "shop", as("hook", "2")); again.ID != first.ID {
		t.Error("the same content is another request under another delivery")
	}
	other := p.add("a", "shop", as("hook of another", "1"))
	if other.ID == first.ID {
		t.Error("the same content of another source is the same request")
	}
	p.run(first.ID).end(false)
	p.run(other.ID).end(false)
	p.ended(other.ID, "ok")
	p.close()
	p = open(t, dir, queue.Options{})
	if again := p.add("a", "shop", as("hook", "")); again.ID != first.ID {
		t.Errorf("after a restart the content is not known: %+v", again)
	}
}

// One recipe's requests do not keep out those of others.
func TestARecipeHasAPartOfTheQueue(t *testing.T) {
	p := open(t, t.TempDir(), queue.Options{Max: 5, MaxRecipe: 2})
	if err := p.Pause("the test"); err != nil {
		t.Fatal(err)
	}
	p.add("greedy", "1")
	p.add("greedy", "2")
	if _, _, err := p.Add(queue.Request{Recipe: "greedy", App: "3"}); !errors.Is(err, queue.ErrRecipeFull) {
		t.Errorf("a third request of a recipe: %v", err)
	}
	p.add("a", "4")
	p.add("b", "5")
	p.add("c", "6")
	if _, _, err := p.Add(queue.Request{Recipe: "d", App: "7"}); !errors.Is(err, queue.ErrFull) {
		t.Errorf("a sixth request: %v", err)
	}
}

// skewed is a clock that is set.
type skewed struct {
	clock.Wall
	now atomic.Pointer[time.Time]
}

func (s *skewed) Now() time.Time       { return *s.now.Load() }
func (s *skewed) set(text string)      { at, _ := time.Parse(time.DateTime, text); s.now.Store(&at) }
func (s *skewed) pass(d time.Duration) { at := s.Now().Add(d); s.now.Store(&at) }

// However the clock jumps, IDs are in order and distinct, and cost the same.
func TestIDsWhileTheClockJumps(t *testing.T) {
	clk := &skewed{}
	clk.set("2026-03-01 12:00:00")
	dir := t.TempDir()
	p := open(t, dir, queue.Options{Clock: clk, Max: 10_000})
	if err := p.Pause("the test"); err != nil {
		t.Fatal(err)
	}
	last, n := "", 0
	more := func(p *plant) {
		t.Helper()
		for range 3 {
			e := p.add("a", "shop")
			if e.ID <= last || len(e.ID) != len("20060102T150405-000000") {
				t.Fatalf("%s comes after %s", e.ID, last)
			}
			last = e.ID
			n++
		}
	}
	for _, jump := range []string{
		"2026-03-01 12:00:01", "2026-02-28 12:00:00", "2025-03-01 12:00:00", "1970-01-01 00:00:00", "2026-03-01 12:00:00", "2027-01-01 00:00:00", "2026-03-02 00:00:00",
	} {
		clk.set(jump)
		more(p)
	}
	clk.pass(-280 * 365 * 24 * time.Hour)
	more(p)
	p.close()
	clk.set("2026-03-02 00:00:00")
	p = open(t, dir, queue.Options{Clock: clk, Max: 10_000})
	more(p)
	if _, waiting := p.List(); len(waiting) != n {
		t.Errorf("%d wait, want %d", len(waiting), n)
	}
}

// A request never gets the name of a run that is there: it would be taken for done.
func TestAnIDIsNotThatOfAnyRun(t *testing.T) {
	clk := &skewed{}
	clk.set("2026-03-01 12:00:00")
	dir := t.TempDir()
	jour, err := journal.Open(dir, clk).Begin(journal.Header{ID: "20260301T120000-000000", App: "shop"}, journal.Settings{Clean: func(s string) string { return s }})
	if err != nil {
		t.Fatal(err)
	}
	if err := jour.End("ok", 0, 0, nil); err != nil {
		t.Fatal(err)
	}
	p := open(t, dir, queue.Options{Clock: clk})
	e := p.add("a", "shop")
	p.run(e.ID).end(false)
	p.ended(e.ID, "ok")
	if got := p.started(); len(got) != 1 {
		t.Errorf("started %q", got)
	}
}

// Ready touches what it vouches for: the lock, the order, the disk.
func TestReady(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, queue.Options{})
	if err := p.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Hold(func() {
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer stop()
		if err := p.Ready(ctx); err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("while its lock is held: %v", err)
		}
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(t.Context()); failure.KindOf(err) != failure.Journal || strings.Contains(err.Error(), dir) {
		t.Errorf("without its directory: %v", err)
	}
	if err := os.MkdirAll(dir+"/serve/queue", 0o700); err != nil {
		t.Fatal(err)
	}
	p.Strand(queue.Request{ID: "x", Recipe: "a", App: "shop"})
	if err := p.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "could be run, but still waits") {
		t.Errorf("while it holds a request back: %v", err)
	}
}

// The log says what happens to a request.
func TestTheLogSaysWhatHappens(t *testing.T) {
	var log bytes.Buffer
	p := open(t, t.TempDir(), queue.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	e := p.add("a", "shop")
	out := p.add("b", "shop")
	p.run(e.ID)
	if _, err := p.Abort(out.ID, "me", false); err != nil {
		t.Fatal(err)
	}
	p.run(e.ID).end(false)
	p.ended(e.ID, "ok")
	p.close()
	for _, says := range []string{
		"msg=queued request=" + e.ID + " recipe=a app=shop source=test", "msg=started run=" + e.ID, "msg=ended request=" + e.ID + " recipe=a app=shop status=ok run=" + e.ID + " took=",
		"msg=ended request=" + out.ID + " recipe=b app=shop status=withdrawn text=\"taken out of the queue by me\"",
	} {
		if !strings.Contains(log.String(), says) {
			t.Errorf("the log lacks %s:\n%s", says, log.String())
		}
	}
}

func TestWhatWaitsSurvivesTheServer(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, queue.Options{})
	if err := p.Pause("me"); err != nil {
		t.Fatal(err)
	}
	a, b := p.add("a", "shop"), p.add("b", "shop")
	if _, err := queue.Open(queue.Options{Journal: p.dir, Clock: clock.Wall{}, Log: slog.New(slog.DiscardHandler)}); failure.KindOf(err) != failure.Conflict {
		t.Errorf("a second server on the same directory: %v", err)
	}
	p.close()
	p = open(t, dir, queue.Options{})
	if p.Paused() != "me" || len(p.started()) > 0 {
		t.Errorf("paused by %q, started %q", p.Paused(), p.started())
	}
	if err := p.Queue.Resume(); err != nil {
		t.Fatal(err)
	}
	p.run(a.ID).end(false)
	p.run(b.ID)
}

// A server that dies takes no run with it; a run that dies is resumed, and not for
// ever; and nothing is run twice.
func TestCrashes(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, queue.Options{})
	living, dying := p.add("living", "a"), p.add("dying", "b")
	live, die := p.run(living.ID), p.run(dying.ID)
	p.crash()
	die.end(true)
	p = open(t, dir, queue.Options{})
	second := p.run(dying.ID + "-2")
	if run, err := p.dir.Get(dying.ID + "-2"); err != nil || run.Resumes != dying.ID {
		t.Errorf("the run is not resumed: %+v, %v", run, err)
	}
	if got := p.started(); !slices.Equal(got, []string{"dying b"}) {
		t.Errorf("started %q", got)
	}
	live.end(false)
	p.ended(living.ID, "ok")
	second.end(true)
	p.run(dying.ID + "-3").end(true)
	p.ended(dying.ID, queue.CutOff)
	if e, _ := p.Get(dying.ID); !strings.Contains(e.Result.Text, "mepc-run resume "+dying.ID+"-3") {
		t.Errorf("%+v", e.Result)
	}
}

// What a run did whose journal cannot be read, nobody knows: it is not run again.
func TestARunThatCannotBeReadIsNotRunAgain(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, queue.Options{})
	e := p.add("dying", "b")
	die := p.run(e.ID)
	p.crash()
	die.end(true)
	if err := os.WriteFile(filepath.Join(dir, "runs", e.ID+".open"), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = open(t, dir, queue.Options{})
	p.ended(e.ID, "unknown")
	if got, _ := p.Get(e.ID); !strings.Contains(got.Result.Text, "cannot be read") || len(p.started()) > 0 {
		t.Errorf("%+v, started %q", got.Result, p.started())
	}
}

// Runs that ended while no server was there end their requests as soon as the next
// one looks, which still reads what waits: each is run once.
func TestRunsThatEndedInBetweenMakeRoomForThoseThatWait(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir, queue.Options{})
	var first, waiting []string
	for i := range 40 {
		app := strconv.Itoa(i % 8)
		if e := p.add("a", app); i < 8 {
			first = append(first, e.ID)
		} else {
			waiting = append(waiting, e.ID)
		}
	}
	for _, id := range first {
		p.run(id)
	}
	p.crash()
	for _, id := range first {
		p.run(id).end(false)
	}
	p = open(t, dir, queue.Options{})
	for _, id := range first {
		p.ended(id, "ok")
	}
	for _, id := range waiting {
		p.run(id).end(false)
		p.ended(id, "ok")
	}
	if n := len(p.started()); n != len(waiting) {
		t.Errorf("%d runs of %d requests", n, len(waiting))
	}
}

func TestARunIsInterruptedOrKilledOrTakenOut(t *testing.T) {
	p := open(t, t.TempDir(), queue.Options{})
	a, b := p.add("a", "shop"), p.add("b", "shop")
	p.run(a.ID)
	if _, err := p.Abort(b.ID, "me", false); err != nil {
		t.Error(err)
	}
	p.ended(b.ID, queue.Withdrawn)
	p.when("its process", func() bool { _, err := p.Abort(a.ID, "me", true); return err == nil })
	p.ended(a.ID, queue.CutOff)
	for id, kind := range map[string]failure.Kind{a.ID: failure.Conflict, "nobody": failure.NotFound} {
		if _, err := p.Abort(id, "me", false); failure.KindOf(err) != kind {
			t.Errorf("abort %s: %v", id, err)
		}
	}
	p.mu.Lock()
	p.refuse = failure.New(failure.Conflict, "the recipe cannot be run")
	p.mu.Unlock()
	p.ended(p.add("c", "shop").ID, queue.NotBegun)
}

var errPlanted = errors.New("a planted bug")

func TestABugAtARequestEndsThatRequestAlone(t *testing.T) {
	var log strings.Builder
	p := open(t, t.TempDir(), queue.Options{Workers: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
	p.refuse = errPlanted
	a := p.add("a", "shop")
	p.ended(a.ID, "unknown")
	p.mu.Lock()
	p.refuse = nil
	p.mu.Unlock()
	b := p.add("b", "shop")
	p.run(b.ID).end(false)
	p.ended(b.ID, "ok")
	if !strings.Contains(log.String(), "a bug in mepc-run") || !strings.Contains(log.String(), "queue_test.go") {
		t.Errorf("the log does not say where: %s", &log)
	}
}

func TestManyAtOnce(t *testing.T) {
	p := open(t, t.TempDir(), queue.Options{Max: 1000, Workers: 4})
	var wg sync.WaitGroup
	ids := make(chan string, 40)
	for i := range 40 {
		wg.Go(func() {
			e, _, err := p.Add(queue.Request{Recipe: "a", App: strconv.Itoa(i % 10), Source: "test", Delivery: strconv.Itoa(i / 2)})
			if err != nil {
				t.Error(err)
			}
			ids <- e.ID
		})
	}
	wg.Wait()
	close(ids)
	distinct := map[string]bool{}
	for id := range ids {
		distinct[id] = true
	}
	if len(distinct) != 20 {
		t.Errorf("%d requests of 20 deliveries", len(distinct))
	}
	for id := range distinct {
		go func() { p.run(id).end(false) }()
	}
	for id := range distinct {
		p.ended(id, "ok")
	}
	if n := len(p.started()); n != 20 {
		t.Errorf("%d runs of 20 requests", n)
	}
}

// FuzzRead looks for a file that makes Read panic, or read another request than
// stands in it.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"id":"20260101T000000-000000","recipe":"a","app":"b","source":"api","who":"me"}` + "\n" + `{"run":"x"}` + "\n" + `{"ru`))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, runs, err := queue.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		second, _, err := queue.Read(bytes.NewReader(append(again, '\n')))
		if err != nil || second.ID != r.ID || second.App != r.App {
			t.Errorf("%q became %+v, %v", again, second, err)
		}
		for _, run := range runs {
			if run == "" && !bytes.Contains(data, []byte("{")) {
				t.Errorf("a run without a name in %q", data)
			}
		}
	})
}

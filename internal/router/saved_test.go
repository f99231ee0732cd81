package router

import (
	"strings"
	"testing"
	"time"
)

// memory is a Keeper.
type memory struct {
	saved []byte
}

func (m *memory) Load() ([]byte, error) { return m.saved, nil }
func (m *memory) Save(b []byte) error   { m.saved = b; return nil }

// A router that starts without Redis serves what one before it knew.
func TestAStartWithoutRedisServesTheSavedTable(t *testing.T) {
	s := startRedis(t)
	m := &memory{}
	c := &offsetClock{}
	keep := func(cfg *Config) { cfg.Keeper, cfg.Clock = m, c }
	r := startRouter(t, s, keep)
	s.list("app", named(t, "up").URL)
	s.list("*.example.com", named(t, "wild").URL)
	s.list("gone", named(t, "gone").URL)
	s.do("HSET", "settings:app", "max_body", "3")
	r.wants("app", 200, "up")
	r.wants("a.example.com", 200, "wild")
	r.wants("gone", 200, "gone")
	s.do("DEL", "frontend:gone")
	r.wants("gone", 404, "")
	r.stop()
	r.stopped <- <-r.stopped

	s.kill()
	r = startRouter(t, s, keep)
	r.wants("app", 200, "up")
	r.wants("a.example.com", 200, "wild")
	r.wants("gone", 503, "cannot be read")
	if got, err := r.do(r.request("POST", "app", "/", strings.NewReader("1234"))); err != nil || got.status != 413 {
		t.Errorf("without its settings: %+v, %v", got, err)
	}
	var out Frontends
	if r.adminGet("/-/frontends", &out); out.Source != sourceLastKnown || len(out.Frontends) != 2 {
		t.Errorf("%+v", out)
	}
	r.stop()
	r.stopped <- <-r.stopped

	// Redis is back, and is right.
	whole := m.saved
	s.start()
	r = startRouter(t, s, keep)
	r.wants("app", 404, "")
	r.stop()
	r.stopped <- <-r.stopped
	s.kill()

	for what, file := range map[string][]byte{
		"torn":    whole[:len(whole)/2],
		"edited":  []byte(strings.Replace(string(whole), "127.0.0.1", "127.0.0.2", 1)),
		"rubbish": []byte("{}"),
	} {
		m.saved = file
		r = startRouter(t, s, keep)
		r.wants("app", 503, "cannot be read")
		if !strings.Contains(r.log.String(), "the saved table is not used") {
			t.Errorf("%s: not said:\n%s", what, r.log)
		}
		r.stop()
		r.stopped <- <-r.stopped
	}
	m.saved = whole
	c.forward(25 * time.Hour)
	startRouter(t, s, keep).wants("app", 503, "cannot be read")
}

func FuzzSavedTable(f *testing.F) {
	cfg := Config{}.withDefaults()
	t := newTable(&cfg)
	t.apply(reading{lists: map[string][]string{"app": {"app", "http://10.0.0.1"}}})
	whole, _, err := t.save(0)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"version":1,"sha256":"","table":{"a":{"list":[""]}}}`))
	f.Fuzz(func(_ *testing.T, file []byte) { _, _ = newTable(&cfg).load(file) })
}

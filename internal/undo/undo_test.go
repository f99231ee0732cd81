package undo_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/journal"
	"github.com/mepc/mepc-run/internal/undo"
)

const own, store = "unix:///var/run/docker.sock", "redis://127.0.0.1:6379"

// run is a run of which these calls are known.
func run(id string, records ...*journal.Record) *journal.Run {
	return &journal.Run{Head: journal.Head{Header: journal.Header{ID: id, Docker: own, Redis: store}}, Records: records}
}

// call is a call with what was noted before it. No outcome: nobody knows.
func call(seq int, name, target, endpoint string, outcome effect.Outcome, was ...journal.Was) []*journal.Record {
	var records []*journal.Record
	for _, w := range was {
		w.Seq = seq
		records = append(records, &journal.Record{Type: journal.Found, Was: &w})
	}
	records = append(records, &journal.Record{Type: journal.Intent, Op: &effect.Op{Seq: seq, Name: name, Target: target, Endpoint: endpoint}})
	if outcome != "" {
		records = append(records, &journal.Record{Type: journal.Outcome, Seq: seq, Result: &journal.Result{Outcome: outcome}})
	}
	return records
}

func box(id string, running bool) journal.Was {
	return journal.Was{Container: &journal.Container{Name: "app-" + id, ID: id, Running: running}}
}

func list(items, left []string) journal.Was {
	return journal.Was{List: "www", Items: items, Left: left}
}

func join(all ...[]*journal.Record) []*journal.Record {
	var records []*journal.Record
	for _, r := range all {
		records = append(records, r...)
	}
	return records
}

func TestWhatWasFirstIsGoneBackToAndWhatWasNotDoneIsNot(t *testing.T) {
	one, two, three := []string{"app", "http://1"}, []string{"app", "http://2"}, []string{"app", "http://3"}
	first := run("1", join(
		[]*journal.Record{{Type: journal.Locked, Lock: &journal.Lock{App: "shop@www", In: store}}},
		call(1, "docker.load", "shop:2", own, effect.OK),
		call(2, "docker.create", "app-b", own, effect.OK),
		call(3, "docker.start", "app-b", own, effect.OK, box("b", false)),
		call(4, "redis.multi", "frontend:www dead:www", store, effect.OK, list(one, two)),
		call(5, "redis.del", "dead:www", store, effect.OK),
		call(6, "docker.stop", "app-c", own, effect.Refused, box("c", true)),
	)...)
	second := run("2", join(
		call(1, "redis.multi", "frontend:www dead:www", store, effect.Unknown, list(two, three)),
		call(2, "docker.update", "app-a", "tcp://10.0.0.2:2376", effect.OK, box("a", true)),
		call(3, "docker.stop", "app-a", "tcp://10.0.0.2:2376", "", box("a", true)),
		call(4, "docker.remove", "app-d", own, effect.OK, box("d", false)),
	)...)
	want := &undo.Doings{
		Runs:    []string{"1", "2"},
		Locks:   []undo.Lock{{App: "shop", Target: "www"}},
		Engines: []string{"", "tcp://10.0.0.2:2376"},
		Lists:   []undo.List{{Host: "www", Items: one, Left: [][]string{two, three}}},
		Containers: []undo.Container{
			{Container: *box("b", false).Container},
			{Engine: "tcp://10.0.0.2:2376", Ending: true, Container: *box("a", true).Container},
		},
		Stays: []string{"docker.load shop:2", "docker.remove app-d"},
	}
	if diff := cmp.Diff(want, undo.Of(first, second)); diff != "" {
		t.Error(diff)
	}
}

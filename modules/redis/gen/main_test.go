package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mepc/mepc-run/internal/lab"
)

func TestTheTableIsAsRedisSays(t *testing.T) {
	if testing.Short() {
		t.Skip("needs redis-server")
	}
	server, err := lab.StartRedis(t.Context(), lab.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	cli, err := server.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	want, err := generate(t.Context(), cli)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../table.go")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(want), "\n")
	if !strings.HasPrefix(string(got), first) {
		t.Skipf("the table was made from another Redis: here it is %s", first)
	}
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		t.Errorf("run go generate ./modules/redis: -table.go +redis-server:\n%s", diff)
	}
}

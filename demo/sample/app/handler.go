package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// handler answers the paths listed in the package doc.
func handler(o options) http.Handler {
	db := newBackend(o.db)
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}

	var ready atomic.Bool
	ready.Store(o.readyAfter <= 0 && !o.unhealthy)
	if o.readyAfter > 0 && !o.unhealthy {
		time.AfterFunc(o.readyAfter, func() { ready.Store(true) })
	}

	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		line := fmt.Sprintf("app %s on %s", o.version, host)
		if db.linked() {
			said, err := db.ask(r.Context())
			if err != nil {
				http.Error(w, fmt.Sprintf("%s: db: %v", line, err), http.StatusBadGateway)
				return
			}
			line += ", " + said
		}
		fmt.Fprintln(w, line)
	}
	mux.HandleFunc("GET /{$}", answer)
	mux.HandleFunc("POST /{$}", answer)
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, o.version)
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		ms := 1000
		if v := r.FormValue("ms"); v != "" {
			var err error
			if ms, err = strconv.Atoi(v); err != nil || ms < 0 || ms > 600_000 {
				http.Error(w, "ms: want 0 to 600000", http.StatusBadRequest)
				return
			}
		}
		if r.FormValue("early") != "" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			fmt.Fprintf(w, "app %s after %d ms\n", o.version, ms)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("GET /env", func(w http.ResponseWriter, _ *http.Request) {
		var found []string
		for _, kv := range os.Environ() {
			if strings.HasPrefix(kv, "DB_") {
				found = append(found, kv)
			}
		}
		sort.Strings(found)
		fmt.Fprintln(w, strings.Join(found, "\n"))
	})
	return mux
}

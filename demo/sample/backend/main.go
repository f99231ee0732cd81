// Command backend is the "db" that the sample app links to: an HTTP server on
// :8000 (or $PORT) that answers one line with its version. SIGTERM stops it
// once what is in flight is answered.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	version, port := "dev", "8000"
	if v := os.Getenv("DB_VERSION"); v != "" {
		version = v
	}
	if p := os.Getenv("PORT"); p != "" {
		port = p
	}
	if err := run(version, ":"+port); err != nil {
		log.Fatalf("db %s: %v", version, err)
	}
}

func run(version, addr string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	srv := &http.Server{
		Addr:              addr,
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "db %s\n", version)
		}),
	}
	served := make(chan error, 1)
	go func() { served <- srv.ListenAndServe() }()
	log.Printf("db %s: listening on %s", version, addr)
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	return srv.Shutdown(grace)
}

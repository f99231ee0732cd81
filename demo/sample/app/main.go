// Command app is the sample application of the demo and of the integration
// tests: a small HTTP server that says which version it is and what the
// backend it is linked to says. Its flags (each also an environment variable)
// make it misbehave in the ways a deploy has to survive.
//
//	/         one line: version, host name and, when linked, the backend's line
//	/version  the version alone
//	/health   200 "ok", or 503 until -ready-after has passed
//	/slow     answers after ?ms= milliseconds (1000); with &early=1 the headers come
//	          at once, as a sign that the request is in flight
//	/env      what the container was given to find its backend, for the curious
//
// SIGTERM and SIGINT stop it: it closes its listener, finishes what is in
// flight and exits 0.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// options describes how this instance behaves. The zero value of each misbehaviour is
// to behave.
type options struct {
	addr          string        // -addr, ADDR; else :$PORT, else :8080
	version       string        // -version, APP_VERSION
	db            string        // -db, DB_ADDR: host:port; "" looks for a link named db
	listenAfter   time.Duration // -listen-after, LISTEN_AFTER: connections are refused until then
	readyAfter    time.Duration // -ready-after, READY_AFTER: /health is 503 until then
	grace         time.Duration // -grace, GRACE: how long requests in flight may take after SIGTERM
	exit          string        // -exit, EXIT: log this line and exit 1 at once
	unhealthy     bool          // -unhealthy, UNHEALTHY: /health stays 503
	abrupt        bool          // -abrupt, ABRUPT: on SIGTERM drop what is in flight, exit 1
	ignoreSIGTERM bool          // -ignore-sigterm, IGNORE_SIGTERM
	check         bool          // -check: ask the running instance for /health, exit 0 or 1
}

func main() {
	log.SetFlags(0)
	o := parse()
	switch {
	case o.check:
		check(o.addr)
	case o.exit != "":
		log.Fatalf("app %s: %s", o.version, o.exit)
	default:
		if err := run(o); err != nil {
			log.Fatalf("app %s: %v", o.version, err)
		}
	}
}

func parse() options {
	addr := ":8080"
	if port := os.Getenv("PORT"); port != "" {
		addr = ":" + port
	}
	var o options
	flag.StringVar(&o.addr, "addr", envOr("ADDR", addr), "listen address")
	flag.StringVar(&o.version, "version", envOr("APP_VERSION", "dev"), "version to answer with")
	flag.StringVar(&o.db, "db", os.Getenv("DB_ADDR"), "backend's host:port (default: the link named db, if any)")
	flag.DurationVar(&o.listenAfter, "listen-after", envDuration("LISTEN_AFTER", 0), "refuse connections for this long")
	flag.DurationVar(&o.readyAfter, "ready-after", envDuration("READY_AFTER", 0), "answer /health with 503 for this long")
	flag.DurationVar(&o.grace, "grace", envDuration("GRACE", 30*time.Second), "time for requests in flight after SIGTERM")
	flag.StringVar(&o.exit, "exit", os.Getenv("EXIT"), "log this line and exit 1 at once")
	flag.BoolVar(&o.unhealthy, "unhealthy", envBool("UNHEALTHY"), "answer /health with 503 for ever")
	flag.BoolVar(&o.abrupt, "abrupt", envBool("ABRUPT"), "on SIGTERM exit at once, dropping requests in flight")
	flag.BoolVar(&o.ignoreSIGTERM, "ignore-sigterm", envBool("IGNORE_SIGTERM"), "do not stop on SIGTERM")
	flag.BoolVar(&o.check, "check", false, "ask the running instance for /health: a HEALTHCHECK for an image without a shell")
	flag.Parse()
	return o
}

func run(o options) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	if o.listenAfter > 0 {
		log.Printf("app %s: not listening for %v", o.version, o.listenAfter)
		select {
		case <-time.After(o.listenAfter):
		case s := <-stop:
			log.Printf("app %s: %v before listening", o.version, s)
			return nil
		}
	}
	ln, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler(o), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	log.Printf("app %s: listening on %s", o.version, ln.Addr())

	for {
		select {
		case err := <-served:
			return err
		case s := <-stop:
			if o.ignoreSIGTERM && s == syscall.SIGTERM {
				log.Printf("app %s: ignoring %v", o.version, s)
				continue
			}
			if o.abrupt {
				return fmt.Errorf("%v: exiting abruptly", s)
			}
			log.Printf("app %s: %v: finishing what is in flight", o.version, s)
			ctx, cancel := context.WithTimeout(context.Background(), o.grace)
			defer cancel()
			if err := srv.Shutdown(ctx); err != nil {
				return fmt.Errorf("requests still in flight after %v: %w", o.grace, err)
			}
			log.Printf("app %s: stopped", o.version)
			return nil
		}
	}
}

// check is the container's own health check: the image holds no shell and no
// curl to do it with.
func check(addr string) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		log.Fatalf("check: %v", err)
	}
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://127.0.0.1:" + port + "/health")
	if err != nil {
		log.Fatalf("check: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err = errors.Join(err, statusError(resp)); err != nil {
		log.Fatalf("check: %v: %s", err, body)
	}
	fmt.Printf("%s", body)
}

func statusError(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func envOr(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}

func envBool(name string) bool {
	v, err := strconv.ParseBool(envOr(name, "false"))
	if err != nil {
		log.Fatalf("%s: want true or false, got %q", name, os.Getenv(name))
	}
	return v
}

func envDuration(name string, def time.Duration) time.Duration {
	v, err := time.ParseDuration(envOr(name, def.String()))
	if err != nil {
		log.Fatalf("%s: want a duration such as 1.5s, got %q", name, os.Getenv(name))
	}
	return v
}

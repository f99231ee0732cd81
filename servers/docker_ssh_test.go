package servers

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mepc/mepc-run/internal/failure"
)

func TestSSHReachesAnEngineAndKnowsItsHost(t *testing.T) {
	args := fakeSSH(t, strings.TrimPrefix(engineAt(t, pong), "tcp://"))
	w := Live(Options{})
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, name, err := w.Docker(ctx, DockerEndpoint{Host: "ssh://deploy@prod.example.com:2222"})
	if err != nil {
		t.Fatal(err)
	}
	if c.ClientVersion() != "1.41" || name != "ssh://deploy@prod.example.com:2222" {
		t.Errorf("version %s at %s", c.ClientVersion(), name)
	}
	got, err := os.ReadFile(args)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"-l deploy", "-p 2222", "-o StrictHostKeyChecking=yes", "-o BatchMode=yes", "-o ConnectTimeout=10", "-- prod.example.com docker system dial-stdio",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("ssh was called without %s: %s", want, got)
		}
	}
}

func TestSSHFailuresSayWhatToDo(t *testing.T) {
	for name, tt := range map[string]struct {
		said string
		kind failure.Kind
		want []string
	}{
		"an unknown host key": {"No ED25519 host key is known for prod and you have requested strict checking.\nHost key verification failed.", failure.Auth, []string{"host key of ssh://prod is not known", "known_hosts"}},
		"no key":              {"deploy@prod: Permission denied (publickey).", failure.Auth, []string{"Permission denied (publickey)", "ssh-agent"}},
		"no route":            {"ssh: connect to host prod port 22: Connection refused", failure.Unavailable, []string{"Connection refused", "by hand"}},
		"no docker":           {"bash: line 1: docker: command not found", failure.Unavailable, []string{"docker: command not found"}},
	} {
		t.Run(name, func(t *testing.T) {
			fakeSSH(t, "say "+tt.said)
			w := Live(Options{})
			defer w.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_, _, err := w.Docker(ctx, DockerEndpoint{Host: "ssh://prod"})
			wantFailure(t, err, tt.kind, tt.want...)
			t.Log(err)
		})
	}
	t.Setenv("PATH", t.TempDir())
	_, _, err := Live(Options{}).Docker(t.Context(), DockerEndpoint{Host: "ssh://prod"})
	wantFailure(t, err, failure.Unavailable, "ssh", "executable file not found")
}

func TestAnSSHConnectionThatBreaksLeavesAWriteUnknown(t *testing.T) {
	broken := errors.New("command [ssh -- prod docker system dial-stdio] has exited with exit status 255, make sure the URL is valid: stderr=client_loop: send disconnect: Broken pipe")
	for kind, x := range map[failure.Kind]*Exchange{
		failure.Unknown:     {Endpoint: "ssh://prod", Mutates: true, sent: true, err: broken},
		failure.Unavailable: {Endpoint: "ssh://prod", sent: true, err: broken},
	} {
		wantFailure(t, x.Failure(t.Context(), errors.New("client's words")), kind, "ssh://prod", "Broken pipe")
	}
}

func TestWhatTheNetworkSaysOfAHost(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want []string
	}{
		"no such host": {&net.DNSError{Err: "no such host", Name: "prod", IsNotFound: true}, []string{"lookup prod: no such host", "check the host's name"}},
		"no answer":    {&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, []string{"no connection within 10s", "firewall"}},
		"no route":     {errors.New("no route to host"), []string{"no route to host"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := &Exchange{Endpoint: "tcp://prod:2376", Mutates: true, err: dialError{tt.err}}
			err := x.Failure(t.Context(), errors.New("client's words"))
			wantFailure(t, err, failure.Unavailable, tt.want...)
			if !failure.As(err).Retryable {
				t.Error("nothing was sent, yet it is not retryable")
			}
		})
	}
}

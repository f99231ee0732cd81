package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/mepc/mepc-run/internal/clock"
)

// envAbandon makes this test binary play a program that starts a lab in the
// named directory and is killed.
const envAbandon = "MEPC_TEST_ABANDON"

func abandon() {
	ctx := context.Background()
	e, err := StartEngine(ctx, EngineOptions{Dir: os.Getenv(envAbandon), LiveRestore: true})
	if err == nil {
		err = SampleImages(ctx, e, "1.0")
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	cli, err := e.Client()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if _, err = cli.ContainerCreate(ctx, &container.Config{Image: AppImage("1.0")}, nil, nil, nil, "app"); err == nil {
		err = cli.ContainerStart(ctx, "app", container.StartOptions{})
	}
	fmt.Println("ready", e.net.bridge, err)
	_ = (clock.Wall{}).Sleep(ctx, time.Hour)
}

func TestALabWhoseProgramWasKilledIsClearedByTheNext(t *testing.T) {
	t.Parallel()
	skipShort(t)
	parent := shortDir(t)
	alive := startOwn(t, EngineOptions{Dir: parent})
	// Not the lab's, whatever it is called.
	stranger := filepath.Join(parent, prefix+"notes.txt")
	if err := os.WriteFile(stranger, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envAbandon+"="+parent)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 1000)
	n, err := out.Read(line)
	var bridge string
	if _, scanErr := fmt.Sscanf(string(line[:n]), "ready %s <nil>", &bridge); err != nil || scanErr != nil {
		t.Fatalf("the program to be killed said %q, %v", line[:n], err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()

	var dead string
	dirs, _ := filepath.Glob(filepath.Join(parent, prefix+"*"))
	for _, d := range dirs {
		if d != alive.home.path && d != stranger {
			dead = d
		}
	}
	if dead == "" {
		t.Fatal("the killed program left no lab: nothing to clear")
	}
	r, err := StartRedis(t.Context(), RedisOptions{Dir: parent}) // any lab will do
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	eventually(t, func() error {
		if left := traces(t, dead, bridge); left != nil {
			return fmt.Errorf("left: %s", strings.Join(left, "\n"))
		}
		return nil
	})
	if _, err := dockerOf(t, alive).Ping(t.Context()); err != nil {
		t.Errorf("the lab in use was cleared as well: %v", err)
	}
	if _, err := os.Lstat(stranger); err != nil {
		t.Errorf("a stranger's file was removed: %v", err)
	}
}

func TestAProgramThatIsNoServerIsNotKilledForStandingInALabsDirectory(t *testing.T) {
	t.Parallel()
	h, err := newHome(shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	cmd.Dir = h.path
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	if err := h.remove(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-gone:
		t.Errorf("killed: %v", err)
	default:
		_ = cmd.Process.Kill()
		<-gone
	}
}

func TestADirectoryTooLongForSocketsIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := newHome("/tmp/" + strings.Repeat("x", 60))
	if err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("got %v, want advice on TMPDIR", err)
	}
}

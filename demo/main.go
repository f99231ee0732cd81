// Command demo plays the talk: it starts a Docker engine and a Redis of its own,
// a router, and many clients that never stop asking, and deploys to them with
// mepc-run. It says what was served and what failed, and leaves nothing behind.
//
// Run it with make demo. MEPC_TEST_DOCKER_HOST and MEPC_TEST_REDIS_URL name
// servers to use instead of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := play(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// play starts the stage, plays the scenes in order, and takes the stage down
// whatever happens. What the clients saw comes last.
func play(ctx context.Context) (err error) {
	say("Setting the stage: a Docker engine, a Redis, a router, two images of a sample app")
	s, err := newStage(ctx)
	if s != nil {
		defer func() {
			if err = errors.Join(err, s.close()); err == nil {
				err = summary(s)
			}
		}()
	}
	if err != nil {
		return err
	}
	for _, scene := range []func(context.Context, *stage) error{
		register, deploy, redeploy, killDuringDeploy, scaleOut, deployBackend,
	} {
		if err := scene(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func say(format string, args ...any) { fmt.Printf("\n== "+format+"\n", args...) }

func register(ctx context.Context, s *stage) error {
	say("0. Register the domain: RPUSH frontend:%s app", host)
	return s.store.RPush(ctx, "frontend:"+host, "app").Err()
}

func deploy(ctx context.Context, s *stage) error {
	say("1. Deploy %s beside its database, and let %d clients ask for it without a pause", image("1.0"), clients)
	if err := s.startBackend(ctx, "db-1.0", "mepc/db:1.0"); err != nil {
		return err
	}
	if err := s.deploy(ctx, "1.0", "db-1.0"); err != nil {
		return err
	}
	s.load.start(ctx)
	return s.load.settle(ctx, "first deploy")
}

func redeploy(ctx context.Context, s *stage) error {
	for _, version := range []string{"1.1", "1.2", "1.3"} {
		say("2. Redeploy: %s, under load", image(version))
		if err := s.deploy(ctx, version, "db-1.0"); err != nil {
			return err
		}
		if err := s.load.settle(ctx, "redeploy "+version); err != nil {
			return err
		}
	}
	return nil
}

func killDuringDeploy(ctx context.Context, s *stage) error {
	say("   Everything fails: the new container is killed while it is being deployed")
	killed := make(chan error, 1)
	go func() { killed <- s.killWhenItAppears(ctx, "1.4") }()
	if err := s.deploy(ctx, "1.4", "db-1.0"); err == nil {
		return errors.New("the deployment of a killed container succeeded")
	}
	if err := <-killed; err != nil {
		return err
	}
	fmt.Println("   The deployment failed, as it should; the traffic never left 1.3.")
	return s.load.settle(ctx, "kill the new container")
}

func scaleOut(ctx context.Context, s *stage) error {
	say("   Conquer the world: four replicas")
	if err := s.deploy(ctx, "1.3", "db-1.0", "replicas=4"); err != nil {
		return err
	}
	return s.load.settle(ctx, "scale out to 4")
}

func deployBackend(ctx context.Context, s *stage) error {
	say("3. Deploy the backend: a new database container, then the app linked to it, then the old one goes")
	if err := s.startBackend(ctx, "db-1.1", "mepc/db:1.1"); err != nil {
		return err
	}
	if err := s.deploy(ctx, "1.3", "db-1.1", "replicas=4"); err != nil {
		return err
	}
	if err := s.removeBackend(ctx, "db-1.0"); err != nil {
		return err
	}
	return s.load.settle(ctx, "deploy the backend")
}

func summary(s *stage) error {
	say("What the clients saw")
	failed := s.load.print()
	if failed > 0 {
		return fmt.Errorf("%d requests failed: the audience noticed", failed)
	}
	fmt.Println("\nThe audience did not notice.")
	return nil
}

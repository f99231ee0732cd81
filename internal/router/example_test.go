package router_test

import (
	"context"
	"log"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/mepc/mepc-run/internal/router"
)

func Example() {
	client := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", MaxRetries: -1, ContextTimeoutEnabled: true,
	})
	defer client.Close()
	r, err := router.New(router.Config{Listen: ":8080", Admin: "127.0.0.1:8081", Redis: client})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := r.Run(ctx); err != nil {
		log.Print(err)
	}
}

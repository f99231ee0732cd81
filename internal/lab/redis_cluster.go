package lab

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// slots is the number of hash slots in a cluster.
const slots = 16384

// node is a master of a cluster.
type node struct {
	server *Redis
	client *redis.Client
	addr   string
	bus    int // the port that the nodes speak to each other by
}

// NewCluster starts a Redis cluster of the given number of masters, each with its part of the
// slots and none with a replica, and returns their addresses on loopback. It ends with
// the test, and skips it under -short.
func NewCluster(tb testing.TB, masters int) []string {
	tb.Helper()
	skipShort(tb)
	var nodes []*node
	var addrs []string
	for range masters {
		n, err := startNode(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			_ = n.client.Close()
			if err := n.server.Stop(); err != nil {
				tb.Errorf("stop a node of the cluster: %v", err)
			}
		})
		nodes, addrs = append(nodes, n), append(addrs, n.addr)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	if err := meet(ctx, nodes); err != nil {
		tb.Fatal(err)
	}
	return addrs
}

func startNode(ctx context.Context) (*node, error) {
	bus, err := freePort()
	if err != nil {
		return nil, err
	}
	server, err := StartRedis(ctx, RedisOptions{
		TCP:  true,
		Args: []string{"cluster-enabled yes", "cluster-port " + strconv.Itoa(bus), "cluster-node-timeout 2000"},
	})
	if err != nil {
		return nil, err
	}
	client, err := server.Client()
	return &node{server, client, strings.TrimPrefix(server.TCPURL(), "redis://"), bus}, err
}

// meet deals the slots out, makes the nodes known to each other, and waits until all
// of them know all slots.
func meet(ctx context.Context, nodes []*node) error {
	for i, n := range nodes {
		host, port, err := net.SplitHostPort(n.addr)
		if err != nil {
			return err
		}
		for _, command := range [][]any{
			{"CLUSTER", "ADDSLOTSRANGE", slots * i / len(nodes), slots*(i+1)/len(nodes) - 1},
			{"CLUSTER", "SET-CONFIG-EPOCH", i + 1},
		} {
			if err := n.client.Do(ctx, command...).Err(); err != nil {
				return err
			}
		}
		if err := nodes[0].client.Do(ctx, "CLUSTER", "MEET", host, port, n.bus).Err(); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		err := n.server.proc.await(ctx, func(ctx context.Context) error {
			info, err := n.client.ClusterInfo(ctx).Result()
			if err == nil && !(strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_slots_assigned:%d", slots))) {
				err = fmt.Errorf("no cluster yet: %s", info)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

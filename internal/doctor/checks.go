package doctor

import (
	"strconv"
	"strings"

	units "github.com/docker/go-units"

	"github.com/mepc/mepc-run/internal/failure"
)

// unreachable is the verdict on a server that does not answer.
func unreachable(err error, fix string) *verdict {
	if e := failure.As(err); e != nil {
		if e.Hint != "" {
			fix = e.Hint
		}
		return bad(Problem, fix, "%s", e.Message)
	}
	return bad(Problem, fix, "%s", err)
}

var engineChecks = []check[*Engine]{
	{"reachable", func(e *Engine) *verdict {
		if e.Err != nil {
			return unreachable(e.Err, "is the engine running? systemctl status docker")
		}
		return good("Docker %s", e.Version)
	}},
	{"API", func(e *Engine) *verdict {
		return good("%s to %s; the newest that both support is used", e.MinAPI, e.API)
	}},
	{"live-restore", func(e *Engine) *verdict {
		if e.LiveRestore {
			return good("on: containers outlive a restart of the engine")
		}
		return bad(Warning, `put "live-restore": true into /etc/docker/daemon.json, then systemctl reload docker`,
			"off: every container stops when the engine is restarted or updated")
	}},
	{"restart policies", func(e *Engine) *verdict {
		if len(e.NotRestarting) == 0 {
			return good("every running container of a release is started again")
		}
		return bad(Warning, "deploy with restart=always; now: docker update --restart always "+strings.Join(e.NotRestarting[:min(len(e.NotRestarting), 5)], " "),
			"not started again after a crash of the engine: %s", few(e.NotRestarting))
	}},
	{"disk", func(e *Engine) *verdict {
		if e.Disk == nil {
			return bad(Skipped, "check on its machine: df -h; docker system df", "cannot be seen from here")
		}
		free, share := units.BytesSize(float64(e.Disk.Free)), 100*float64(e.Disk.Free)/float64(max(e.Disk.Total, 1))
		const fix = "mepc-run prune removes old releases; docker system df shows what uses the space"
		switch {
		case e.Disk.Free < 512<<20:
			return bad(Problem, fix, "%s are free in %s: an image may not fit", free, e.Disk.Path)
		case e.Disk.Free < 4<<30 && share < 10:
			return bad(Warning, fix, "%s (%.0f%%) are free in %s", free, share, e.Disk.Path)
		}
		return good("%s are free in %s", free, e.Disk.Path)
	}},
	{"clock", func(e *Engine) *verdict {
		if !e.SkewKnown {
			return nil
		}
		return clockVerdict(e.Skew)
	}},
}

var redisChecks = []check[*Redis]{
	{"reachable", func(r *Redis) *verdict {
		if r.Err != nil {
			return unreachable(r.Err, "is Redis running? redis-cli ping; --redis or REDIS_URL names another one")
		}
		return good("Redis %s", r.Info["redis_version"])
	}},
	{"version", func(r *Redis) *verdict {
		major, _, _ := strings.Cut(r.Info["redis_version"], ".")
		if n, err := strconv.Atoi(major); err == nil && n < 6 {
			return bad(Problem, "update it to 6.2 or later", "Redis %s is too old: connections greet it with HELLO 3", r.Info["redis_version"])
		}
		return nil
	}},
	{"role", func(r *Redis) *verdict {
		if r.Info["role"] == "slave" {
			return bad(Problem, "name the primary, "+r.Info["master_host"]+":"+r.Info["master_port"]+", or the sentinels", "it is a replica and accepts no writes")
		}
		return nil
	}},
	{"persistence", func(r *Redis) *verdict {
		switch {
		case r.Info["loading"] == "1":
			return bad(Warning, "wait until it is done", "it is still loading its data")
		case r.Info["aof_enabled"] == "1" && r.Info["aof_last_write_status"] == "err",
			r.Info["rdb_last_bgsave_status"] == "err":
			return bad(Problem, "see its log: is the disk full? is the directory writable?", "its last write to disk failed: routing lists would not survive a restart")
		case r.Info["aof_enabled"] == "1":
			return good("append-only file")
		case r.Config["save"] == "" && r.has("save"):
			return bad(Warning, "appendonly yes in redis.conf; now: redis-cli config set appendonly yes", "off: after a restart every routing list is gone")
		}
		return bad(Warning, "appendonly yes in redis.conf; now: redis-cli config set appendonly yes", "snapshots only: a crash reverts the switches since the last one")
	}},
	{"eviction", func(r *Redis) *verdict {
		policy := r.Info["maxmemory_policy"]
		if r.Info["maxmemory"] == "0" || r.Info["maxmemory"] == "" || !strings.HasPrefix(policy, "allkeys") {
			return good("routing lists are not evicted")
		}
		return bad(Problem, "maxmemory-policy noeviction or volatile-lru", "%s: Redis may drop a routing list when memory is short", policy)
	}},
	{"keyspace events", func(r *Redis) *verdict {
		events := r.Config["notify-keyspace-events"]
		switch {
		case !r.Traefik:
			return nil // only Traefik's provider needs them
		case !r.has("notify-keyspace-events"):
			return bad(Skipped, "redis-cli config get notify-keyspace-events: Traefik needs KEA", "CONFIG GET is refused")
		case strings.Contains(events, "K") && strings.Contains(events, "A"):
			return good("%s", events)
		}
		return bad(Problem, "notify-keyspace-events KEA in redis.conf; now: redis-cli config set notify-keyspace-events KEA",
			"%q: Traefik does not see a switch", events)
	}},
	{"clock", func(r *Redis) *verdict {
		if !r.hasClock {
			return nil
		}
		return clockVerdict(r.Skew)
	}},
}

// has reports whether CONFIG GET answered for the name.
func (r *Redis) has(name string) bool { _, ok := r.Config[name]; return ok }

var routerChecks = []check[*Router]{
	{"reachable", func(r *Router) *verdict {
		if r.Err != nil {
			return unreachable(r.Err, "is it running, and the URL right? curl -i "+r.URL)
		}
		return good("it answers (status %d for an unknown host)", r.Status)
	}},
}

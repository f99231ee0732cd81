# make demo    play the talk on a real engine and Redis
# make test    everything, with a real engine and Redis
# make test-modern   what talks to an engine, with a current one that it builds (ten minutes, once)
# make check   the quick loop: format, vet, staticcheck, unit tests
# make under-load   make test, ten times, beside a process on each core that never rests
# make prove   the recipes against every fault at each step, and every two (PLANS=0 for all)
# make matrix  every fault to every effect on a real engine and Redis, kills and crowds by the hundred
# make hostile the corpus of hostile recipes with larger arguments and budgets than make test has
# make fuzz    every decoder on random input, FUZZTIME each (10m)
# make bench   the figures of BENCHMARKS.md
# make bench-router   the router: ten restarts under load, its cost beside nginx and HAProxy where they are installed
# make test-acme   the router's certificates from pebble, which it builds
# make build   bin/mepc-run
# make dist    a release in dist/: archives, Debian packages, container images, checksums

GO      ?= go
TOOL    := $(GO) tool -modfile=tools/go.mod
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
DATE    := $(shell git log -1 --format=%cI 2>/dev/null)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -s -w -X github.com/mepc/mepc-run/cli.version=$(VERSION) -X github.com/mepc/mepc-run/cli.commit=$(COMMIT) -X github.com/mepc/mepc-run/cli.date=$(DATE)

# A program with the race detector sleeps a second before it exits; the tests start hundreds.
export GORACE ?= atexit_sleep_ms=20

.PHONY: build demo dist test test-modern under-load check bench bench-router test-acme prove matrix hostile fuzz deps clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/mepc-run ./cmd/mepc-run

dist:
	CGO_ENABLED=0 GOFLAGS=-trimpath $(GO) -C tools run ./dist

deps:
	@scripts/install-deps.sh

demo: deps build
	$(GO) run ./demo

# Each package is tested once, in one of two ways to compile: with the race detector
# where goroutines share what they change, as make build does where tests compute, or
# drive servers and other programs. make check has the detector on all of it.
RACED := ./rehearsal ./runtime ./servers ./modules/docker ./modules/http ./modules/on ./modules/redis \
	$(addprefix ./internal/,clock effect guard journal lock plan queue reload report router serve ship \
	sim/engine sim/redis sim/timeline sim/traffic spec trigger watch)

# Most tests with servers wait for them, so more run at a time than there are processors.
test: deps build
	CGO_ENABLED=0 $(GO) vet -trimpath ./...
	E2E_PROGRAM=$(CURDIR)/bin/mepc-run CGO_ENABLED=0 $(GO) test -trimpath -p 3 -parallel 6 -timeout 15m \
		$$($(GO) list ./... | grep -vxF "$$($(GO) list $(RACED))")
	$(GO) test -race -p 3 -parallel 6 -timeout 15m $(RACED)

# Both stores for images: containerd is the default of new installations since version 29.
MODERN ?= $(CURDIR)/bin/engine
test-modern: deps build
	scripts/modern-engine.sh $(MODERN)
	set -e; for store in containerd graphdriver; do \
		echo "== image store: $$store"; \
		MEPC_TEST_ENGINE_BIN=$(MODERN) MEPC_TEST_ENGINE_STORE=$$store $(GO) test -p 1 -timeout 30m ./modules/docker ./internal/sim ./e2e; \
	done

check:
	@test -z "$$($(TOOL) gofumpt -l .)" || { $(TOOL) gofumpt -d . | head -50; exit 1; }
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(GO) test -short -race ./...

under-load:
	scripts/under-load.sh 10

PLANS ?= 300
prove: build
	bin/mepc-run test --faults=2 --plans $(PLANS) spec

KILLS ?= 1000
DEPLOYERS ?= 200
matrix: deps build
	E2E_MATRIX=all E2E_KILLS=$(KILLS) E2E_DEPLOYERS=$(DEPLOYERS) $(GO) test -timeout 2h -v \
		-run 'TestMatrix|TestKilledRunIsCompletedByTheNext|TestDeployersDoNotInterleave' ./e2e

hostile:
	MEPC_HOSTILE=all CGO_ENABLED=0 $(GO) test -trimpath -run TestHostileRecipesEnd ./internal/app

FUZZTIME ?= 10m
fuzz:
	scripts/fuzz.sh $(FUZZTIME)

bench: deps
	bench/run.sh

REQUESTS ?= 100000
bench-router: build
	ROUTER_BESIDE=$(CURDIR)/bin/mepc-run ROUTER_REQUESTS=$(REQUESTS) CGO_ENABLED=0 $(GO) test -trimpath -count=1 -timeout 30m -v -run 'TestTenRouters|BesideOthers' ./internal/router
	CGO_ENABLED=0 $(GO) test -trimpath -run '^$$' -bench . ./internal/router

PEBBLE := github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.3
test-acme:
	GOBIN=$(CURDIR)/bin $(GO) install $(PEBBLE)
	MEPC_TEST_PEBBLE=$(CURDIR)/bin/pebble CGO_ENABLED=0 $(GO) test -trimpath -count=1 -v -run Pebble ./internal/router

clean:
	rm -rf bin dist

# make demo    play the talk on a real engine and Redis
# make test    everything, with a real engine and Redis
# make test-modern   what talks to an engine, with a current one that it builds (ten minutes, once)
# make check   the quick loop: format, vet, staticcheck, unit tests
# make prove   the recipes against every fault at each step, and every two (PLANS=0 for all)
# make matrix  every fault to every effect on a real engine and Redis, kills and crowds by the hundred
# make fuzz    every decoder on random input, FUZZTIME each (10m)
# make bench   the figures of BENCHMARKS.md
# make build   bin/mepc-run

GO      ?= go
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# A program with the race detector sleeps a second before it exits; the tests start hundreds.
export GORACE ?= atexit_sleep_ms=20

.PHONY: build demo test test-modern check bench prove matrix fuzz deps clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/mepc-run ./cmd/mepc-run

deps:
	@scripts/install-deps.sh

demo: deps build
	$(GO) run ./demo

# One package at a time: many start an engine of their own, and time what they wait for.
test: deps build
	$(GO) vet ./...
	$(GO) build -race ./...
	$(GO) test -race -p 1 -timeout 15m ./...

# Both stores for images: containerd is the default of new installations since version 29.
MODERN ?= $(CURDIR)/bin/engine
test-modern: deps build
	scripts/modern-engine.sh $(MODERN)
	set -e; for store in containerd graphdriver; do \
		echo "== image store: $$store"; \
		MEPC_TEST_ENGINE_BIN=$(MODERN) MEPC_TEST_ENGINE_STORE=$$store $(GO) test -p 1 -timeout 30m ./modules/docker ./internal/sim ./e2e; \
	done

check:
	@test -z "$$($(GO) tool gofumpt -l .)" || { $(GO) tool gofumpt -d . | head -50; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -short -race ./...

PLANS ?= 300
prove: build
	bin/mepc-run test --faults=2 --plans $(PLANS) spec

KILLS ?= 1000
DEPLOYERS ?= 200
matrix: deps build
	E2E_MATRIX=all E2E_KILLS=$(KILLS) E2E_DEPLOYERS=$(DEPLOYERS) $(GO) test -timeout 2h -v \
		-run 'TestMatrix|TestKilledRunIsCompletedByTheNext|TestDeployersDoNotInterleave' ./e2e

FUZZTIME ?= 10m
fuzz:
	scripts/fuzz.sh $(FUZZTIME)

bench: deps
	bench/run.sh

clean:
	rm -rf bin

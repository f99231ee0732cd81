#!/bin/sh
# Runs all benchmarks, each for as many rounds as its figures need to settle:
# about ten minutes and, for a while, 10 GB of disk. See BENCHMARKS.md.
#
#   bench/run.sh [REGEXP]    only those whose names match
set -eu
cd "$(dirname "$0")"
only=${1:-.}

# The talk's commands include curl, which nothing else here needs.
if ! command -v curl >/dev/null 2>&1; then
	if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
		echo "missing; please install: curl" >&2
		exit 1
	fi
	echo "installing curl" >&2
	apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends curl >/dev/null
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

echo "cores: $(nproc), load: $(cut -d' ' -f1-3 /proc/loadavg), kernel: $(uname -r)"
docker --version
dockerd --version
redis-server --version
go version
go test -c -o "$work/bench.test" .

while read -r name rounds; do
	echo "$name" | grep -Eq "$only" || continue
	"$work/bench.test" -test.run '^$' -test.bench "^Benchmark$name\$" -test.benchtime "${rounds}x" -test.timeout 20m </dev/null
done <<-EOF
	Start 100
	Call 50
	Overhead 40
	Shell 5
	Ship 6
	Reship 3
	FanOut 1
	Append 6
	Stream 3
	RedeployUnderLoad 50
EOF

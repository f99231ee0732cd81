#!/bin/sh
# under-load.sh [TIMES] [COMMAND...]: runs a command (make test) TIMES times (10)
# beside a process on each core that never rests, and says how often it passed.
set -eu
cd "$(dirname "$0")/.."
times=${1:-10}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- make test

hogs=
trap 'kill $hogs 2>/dev/null || true' EXIT
for _ in $(seq "$(nproc)"); do
	sh -c 'while :; do :; done' &
	hogs="$hogs $!"
done

passed=0
for i in $(seq "$times"); do
	if "$@" >"under-load-$i.log" 2>&1; then
		passed=$((passed + 1))
		rm "under-load-$i.log"
	else
		echo "run $i failed: see under-load-$i.log" >&2
	fi
done
echo "$passed of $times passed"
[ "$passed" -eq "$times" ]

#!/bin/sh
# fuzz.sh [TIME]: every fuzz target for so long, 10m by default. What one finds is
# kept in testdata/fuzz of its package: commit it with the fix. PROGRAMS says how many
# generated programs are compared with lua5.1.
set -eu
cd "$(dirname "$0")/.."
time=${1:-10m}
failed=
for file in $(grep -rl '^func Fuzz' --include='*_test.go' . | sort); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		package=$(dirname "$file")
		echo "== $package $target"
		${GO:-go} test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" || failed="$failed $package:$target"
	done
done
# The Lua that recipes run in beside C Lua, on a million programs.
SANDBOX_GENERATED=${PROGRAMS:-1000000} ${GO:-go} test -timeout 12h -run TestGeneratedProgramsAgreeWithLua ./internal/sandbox ||
	failed="$failed ./internal/sandbox:TestGeneratedProgramsAgreeWithLua"
test -z "$failed" || {
	echo "found something:$failed" >&2
	exit 1
}

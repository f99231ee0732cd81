//go:build race

package prove_test

// fewer is how many plans are tried where everything takes ten times as long.
const fewer = 60

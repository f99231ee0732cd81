//go:build race

package prove_test

// fewer is the number of plans tried where everything takes ten times as long.
const fewer = 60

//go:build !race

package prove_test

// fewer is not a limit: see race_test.go.
const fewer = 0

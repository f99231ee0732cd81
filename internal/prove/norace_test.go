//go:build !race

package prove_test

// fewer is no limit: see race_test.go.
const fewer = 0

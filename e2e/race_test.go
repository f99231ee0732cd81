//go:build race

package e2e

// The programs of embed are compiled as the tests are, so that most of them is in
// Go's cache.
var embedFlags, embedEnv = []string{"-race"}, []string{}

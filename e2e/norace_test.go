//go:build !race

package e2e

// The programs of embed are compiled as mepc-run is.
var embedFlags, embedEnv = []string{"-trimpath"}, []string{"CGO_ENABLED=0"}

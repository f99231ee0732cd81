// Package sample holds the demo's sample app as its users would have it: the
// sources of app and backend, and the Dockerfiles that make images of them. The
// package lab compiles and builds it: see SampleImages and SampleContext there.
package sample

import "embed"

// Files are the folder's own files: Dockerfile, Dockerfile.backend,
// .dockerignore and the Go sources, by their paths below the folder.
//
//go:embed Dockerfile Dockerfile.backend .dockerignore app/*.go backend/*.go
var Files embed.FS

// Packages are the two programs to compile into bin/, app and backend.
const (
	AppPackage     = "github.com/mepc/mepc-run/demo/sample/app"
	BackendPackage = "github.com/mepc/mepc-run/demo/sample/backend"
)

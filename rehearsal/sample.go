package rehearsal

import (
	_ "embed"
	"strings"
)

// SampleSource is the name of the sample world, and what its plans call it.
const SampleSource = "sample"

// SampleRouter is the URL of the sample world's router.
const SampleRouter = "http://127.0.0.1:8080"

//go:embed sample.json
var sample string

// Sample returns a world to try recipes in: an engine with shop:1.0 deployed as app and
// serving the host appserver, and the images shop:1.1 and shop:broken. A container of
// shop:broken never becomes healthy.
func Sample() *World {
	w, err := ReadWorld(strings.NewReader(sample), SampleSource)
	if err != nil {
		panic(err) // it is part of the program
	}
	return w
}

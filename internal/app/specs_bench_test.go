package app

import (
	"context"
	"testing"

	"github.com/mepc/mepc-run/internal/spec"
)

// BenchmarkShippedSpecs runs all specs of this project, one file after the other.
func BenchmarkShippedSpecs(b *testing.B) {
	b.Chdir("../..")
	c := newRunner(&invocation{env: Env{Getenv: func(string) string { return "" }}, abort: context.Background()})
	c.flags.groups()
	p, err := openProject()
	if err != nil {
		b.Fatal(err)
	}
	defer p.close()
	files, err := p.specs(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	tests := 0
	for b.Loop() {
		sum := spec.Count(spec.Run(b.Context(), spec.Options{Kit: newKit(c, p), Root: p.tree, Files: files, Limits: c.flags.specLimits(), Jobs: 1}))
		if sum.Bad() > 0 {
			b.Fatalf("%+v", sum)
		}
		tests += sum.Total()
	}
	b.ReportMetric(float64(tests)/b.Elapsed().Seconds(), "tests/s")
}

package app

import "github.com/mepc/mepc-run/internal/say"

// styles dress text for a terminal, and leave it alone elsewhere.
type styles struct{ on bool }

func (s styles) bold(text string) string   { return say.Paint(s.on, say.Bold, text) }
func (s styles) dim(text string) string    { return say.Paint(s.on, say.Dim, text) }
func (s styles) red(text string) string    { return say.Paint(s.on, say.Red, text) }
func (s styles) green(text string) string  { return say.Paint(s.on, say.Green, text) }
func (s styles) yellow(text string) string { return say.Paint(s.on, say.Yellow, text) }

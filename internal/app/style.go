package app

import "io"

// styles dress text for a terminal, and leave it alone elsewhere.
type styles struct{ on bool }

func (c *command) styles(w io.Writer) styles { return styles{c.colors(w)} }

func (s styles) wrap(code, text string) string {
	if !s.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s styles) bold(text string) string   { return s.wrap("1", text) }
func (s styles) dim(text string) string    { return s.wrap("2", text) }
func (s styles) red(text string) string    { return s.wrap("31", text) }
func (s styles) green(text string) string  { return s.wrap("32", text) }
func (s styles) yellow(text string) string { return s.wrap("33", text) }

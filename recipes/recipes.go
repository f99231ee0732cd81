// Package recipes holds the recipes that ship with mepc-run, and the library that
// every recipe may require. They are files to read, run and fork.
package recipes

import "embed"

// FS holds the recipes, such as bluegreen.lua, and lib/.
//
//go:embed *.lua lib/*.lua
var FS embed.FS

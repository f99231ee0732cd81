// Package recipes holds the recipes that mepc-run brings, and the library that
// every recipe may require. They are files to read, run and fork.
package recipes

import "embed"

// FS holds the recipes, such as bluegreen.lua, and lib/.
//
//go:embed *.lua lib/*.lua
var FS embed.FS

// Command mepc-run runs deployment recipes written in Lua.
package main

import "github.com/mepc/mepc-run/cli"

func main() { cli.Main() }

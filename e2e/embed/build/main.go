// Command build is mepc-run with the module slack.
package main

import (
	"example.com/embed/slack"

	"github.com/mepc/mepc-run/cli"
)

func main() { cli.Main(slack.Module()) }

package app

import (
	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

const completionText = `Prints a script that makes SHELL complete recipes, their parameters and flags.

  bash (with the package bash-completion): for now, and for good
    source <(mepc-run completion bash)
    mepc-run completion bash > /etc/bash_completion.d/mepc-run
  zsh
    mepc-run completion zsh > "${fpath[1]}/_mepc-run"
  fish
    mepc-run completion fish > ~/.config/fish/completions/mepc-run.fish
  powershell
    mepc-run completion powershell | Out-String | Invoke-Expression`

// shells are those that cobra writes scripts for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func (c *command) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "completion SHELL", Short: "Print the completion script of a shell", Long: completionText,
		DisableFlagsInUseLine: true, ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			shell := ""
			if len(args) == 1 {
				shell = args[0]
			}
			root, out := cmd.Root(), c.env.Stdout
			switch shell {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return failure.New(failure.Usage, "completion wants one shell%s", runtime.DidYouMean(shell, shells)).
				WithHint("it is bash, zsh, fish or powershell")
		},
	}
}

package app

import (
	"github.com/spf13/cobra"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

const completionText = `Prints a script that makes SHELL complete recipes, their parameters and flags.

  bash: for this shell, and for all
    source <(mepc-run completion bash)
    mepc-run completion bash >> ~/.bashrc
  zsh
    mepc-run completion zsh > "${fpath[1]}/_mepc-run"
  fish
    mepc-run completion fish > ~/.config/fish/completions/mepc-run.fish
  powershell
    mepc-run completion powershell | Out-String | Invoke-Expression`

// bashScript completes in bash, without the package bash-completion. Bash breaks words at
// = and : and would put the part before them twice.
const bashScript = `# bash completion for mepc-run
__start_mepc-run() {
  local line=${COMP_LINE:0:COMP_POINT} cur out directive
  local -a words
  read -ra words <<<"$line"
  [[ -z $line || $line == *[[:space:]] ]] && words+=("")
  cur=${words[${#words[@]}-1]}
  out=$("${words[0]/#\~/$HOME}" __completeNoDesc "${words[@]:1}" 2>/dev/null) || return
  directive=${out##*:}
  COMPREPLY=()
  local each prefix=
  [[ $cur == *[=:]* ]] && prefix=${cur%"${cur##*[=:]}"}
  while IFS= read -r each; do
    [[ -n $each && $each == "$cur"* ]] && COMPREPLY+=("${each#"$prefix"}")
  done <<<"${out%:*}"
  if ((directive & 2)); then
    compopt -o nospace
  fi
  if ((directive == 0)); then
    compopt -o filenames
    while IFS= read -r each; do COMPREPLY+=("$each"); done < <(compgen -f -- "${cur#"$prefix"}")
  fi
}
complete -F __start_mepc-run mepc-run
`

// shells are those that cobra writes scripts for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func completionCommand(in *invocation) *cobra.Command {
	return &cobra.Command{
		Use: "completion SHELL", Short: "Print the completion script of a shell", Long: completionText,
		DisableFlagsInUseLine: true, ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			shell := ""
			if len(args) == 1 {
				shell = args[0]
			}
			root, out := cmd.Root(), in.env.Stdout
			switch shell {
			case "bash":
				return in.print(bashScript)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return failure.New(failure.Usage, "completion needs one shell name%s", runtime.DidYouMean(shell, shells)).
				WithHint("it is bash, zsh, fish or powershell")
		},
	}
}

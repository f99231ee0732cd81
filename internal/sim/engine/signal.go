package engine

import (
	"slices"
	"strconv"
	"strings"
)

// signalNames are the signals of Linux by number.
var signalNames = [...]string{
	"", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
	"TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
	"WINCH", "IO", "PWR", "SYS",
}

// parseSignal returns a signal's number from KILL, SIGKILL or 9, and 0 for what
// is none.
func parseSignal(s string) int {
	if n, err := strconv.Atoi(s); err == nil {
		if n > 0 && n <= 64 {
			return n
		}
		return 0
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if name == "" {
		return 0
	}
	return max(0, slices.Index(signalNames[:], name))
}

func validSignal(s string) bool { return parseSignal(s) > 0 }

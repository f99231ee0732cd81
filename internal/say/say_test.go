package say

import (
	"strings"
	"testing"
)

func TestSay(t *testing.T) {
	for got, want := range map[string]string{
		Count(0, "file") + Count(1, "file") + Count(2, "file"): "0 files1 file2 files",
		strings.Join(NonEmpty("", "a", "", "b"), ","):          "a,b",
		strings.Join(Fold("a bc  def alongerword x", 6), "|"):  "a bc|def|alongerword|x",
		Paint(true, Red, "x") + Paint(false, Red, "y"):         Red + "x" + Off + "y",
		Clip("abc", 3) + Clip("abcd", 3) + Clip("aé", 2):       "abcabc...a...",
		Paint(true, "", "x"):                                   "x",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

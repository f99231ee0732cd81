package spec

import "strings"

// maxDiff is how many lines a comparison has at most.
const maxDiff = 60

// diff compares lines, with the common ones around each difference.
func diff(want, got []string) string {
	const around = 2
	var out []string
	type line struct {
		mark byte
		text string
	}
	var all []line
	for _, op := range edits(want, got) {
		all = append(all, line(op))
	}
	keep := make([]bool, len(all))
	for i, l := range all {
		if l.mark == ' ' {
			continue
		}
		for j := max(0, i-around); j <= min(len(all)-1, i+around); j++ {
			keep[j] = true
		}
	}
	skipped := false
	for i, l := range all {
		switch {
		case !keep[i]:
			skipped = true
			continue
		case skipped:
			out = append(out, "  ...")
			skipped = false
		}
		out = append(out, string(l.mark)+" "+l.text)
		if len(out) == maxDiff {
			return strings.Join(append(out, "  ..."), "\n")
		}
	}
	if skipped {
		out = append(out, "  ...")
	}
	return strings.Join(out, "\n")
}

type edit struct {
	mark byte // ' ', '-' (wanted) or '+' (got)
	text string
}

// maxLines is how many lines are compared line by line: the table below is the
// square of it.
const maxLines = 1000

// edits returns the longest common subsequence of two lists of lines with what is
// different between.
func edits(a, b []string) []edit {
	a, b = a[:min(len(a), maxLines)], b[:min(len(b), maxLines)]
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []edit
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, edit{' ', a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, edit{'-', a[i]})
			i++
		default:
			out = append(out, edit{'+', b[j]})
			j++
		}
	}
	return out
}

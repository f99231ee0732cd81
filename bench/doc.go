// Package bench has the project's figures as Go benchmarks. Start with
// BENCHMARKS.md, which says how to repeat and how to read them; run.sh runs all
// of them.
//
// One op is one round: each of the things compared runs once, in an order that
// turns from round to round. So -benchtime 20x is twenty rounds. What is
// reported are medians over the rounds, and ratios of what ran in the same round:
// machines differ, and a machine differs from itself an hour later.
//
// Nothing here fails because something was slow.
package bench

package spec

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/mepc/mepc-run/runtime"
)

// block is a describe, with the file itself as the outermost one.
type block struct {
	parent *block
	names  []string // of the blocks around it and its own
	where  string
	items  []item
	broken *Result        // what went wrong while it was read
	files  *runtime.Files // what require loads in it; nil: what it loads around it

	beforeEach, afterEach []*hook
	strict, lazy          setup // strict: also around tests that are pending
	invariants            []invariant
	seed                  int64 // not zero: draws the order of its items
}

// setup is done once around the tests of a block.
type setup struct {
	before, after []*hook
	done          bool
	err           *runtime.Error
}

// item is a member of a block: exactly one field is set.
type item struct {
	block *block
	test  *test
}

// hook is a function that surrounds tests.
type hook struct {
	word, where string
	fn          *runtime.Function
}

// test is an it.
type test struct {
	block    *block
	names    []string
	where    string
	fn       *runtime.Function // nil: pending
	why      string            // it is pending
	scenario *scenario         // instead of fn
}

// Filter says which tests are run. The zero value takes all.
type Filter struct {
	Text    string   // stands in the test's full name
	Tags    []string // the name has one of them, as #tag
	Without []string // the name has none of them
	Real    bool     // the name has #real
}

// Takes reports whether the filter takes the test with those names.
func (f Filter) Takes(names []string) bool {
	full := strings.Join(names, " ")
	if !strings.Contains(full, f.Text) {
		return false
	}
	tags := Tags(full)
	has := func(wanted []string) bool {
		for _, w := range wanted {
			for _, t := range tags {
				if strings.TrimPrefix(w, "#") == t {
					return true
				}
			}
		}
		return false
	}
	return (len(f.Tags) == 0 || has(f.Tags)) && !has(f.Without) && (!f.Real || has([]string{"real"}))
}

// Tags returns the words of a name that begin with #, without it.
func Tags(name string) []string {
	var tags []string
	for _, word := range strings.Fields(name) {
		if tag, ok := strings.CutPrefix(word, "#"); ok && tag != "" {
			tags = append(tags, tag)
		}
	}
	return tags
}

// chosen returns the tests below b that the filter takes, in order.
func (b *block) chosen(f Filter) []*test {
	var all []*test
	for _, i := range b.items {
		switch {
		case i.block != nil:
			all = append(all, i.block.chosen(f)...)
		case f.Takes(i.test.names):
			all = append(all, i.test)
		}
	}
	return all
}

// inOrder puts the tests in the order that the blocks' randomize has drawn.
func (b *block) inOrder(tests []*test) []*test {
	chosen := map[*test]bool{}
	for _, t := range tests {
		chosen[t] = true
	}
	out := make([]*test, 0, len(tests))
	var walk func(b *block)
	walk = func(b *block) {
		items := b.items
		if b.seed != 0 {
			items = slices.Clone(items)
			draw := rand.New(rand.NewPCG(uint64(b.seed), 0))
			draw.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		}
		for _, i := range items {
			if i.block != nil {
				walk(i.block)
			} else if chosen[i.test] {
				out = append(out, i.test)
			}
		}
	}
	walk(b)
	return out
}

// around returns the blocks around a test, outermost first.
func (t *test) around() []*block {
	var all []*block
	for b := t.block; b != nil; b = b.parent {
		all = append([]*block{b}, all...)
	}
	return all
}

package plan

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mepc/mepc-run/internal/effect"
	"github.com/mepc/mepc-run/internal/say"
)

// Style says how a plan is shown.
type Style struct {
	Color   bool
	Verbose bool // with positions in the recipe and servers
}

// Write renders the plan for people. How the rehearsal failed is left to the
// caller, who shows errors.
func (p *Plan) Write(w io.Writer, s Style) error {
	r := &renderer{style: s}
	r.head(p)
	r.tree(p)
	r.changes(p)
	r.assumed(p)
	r.summary(p)
	_, err := w.Write(r.b.Bytes())
	return err
}

type renderer struct {
	style Style
	b     bytes.Buffer
}

func (r *renderer) line(indent int, text string) {
	r.b.WriteString(strings.Repeat(" ", indent) + text + "\n")
}

func (r *renderer) paint(color, text string) string { return say.Paint(r.style.Color, color, text) }

func (r *renderer) mark(m Mark) string { return r.paint(colorOf(string(m)), string(m)) }

func colorOf(m string) string {
	switch m {
	case "+":
		return say.Green
	case "-":
		return say.Red
	case "~":
		return say.Yellow
	case "=", " ":
		return say.Dim
	}
	return ""
}

func (r *renderer) head(p *Plan) {
	title := "plan for " + visible(p.Recipe.Name)
	for _, name := range paramNames(p) {
		if v, ok := p.Recipe.Params[name]; ok {
			title += " " + visible(name) + "=" + visible(r.brief(paramText(v)))
		} else {
			title += " " + visible(name) + "=[secret]"
		}
	}
	r.line(0, r.paint(say.Bold, title))
	r.line(2, r.paint(say.Dim, "recipe sha256:"+visible(shortID(p.Recipe.Hash))))
	world := "world " + visible(p.World.Source)
	if servers := slices.Concat(p.World.Engines, say.NonEmpty(p.World.Redis)); len(servers) > 0 {
		world += ": " + visible(strings.Join(servers, ", "))
	}
	r.line(2, r.paint(say.Dim, world+", as of "+p.World.Taken.UTC().Format(time.RFC3339)))
}

// brief cuts a text too long to read, such as a list of a hundred engines.
func (r *renderer) brief(s string) string {
	const most = 300
	if r.style.Verbose || len(s) <= most+50 {
		return s
	}
	return fmt.Sprintf("%s... (%d more bytes: -v shows them)", strings.ToValidUTF8(s[:most], ""), len(s)-most)
}

func paramNames(p *Plan) []string {
	names := slices.Clone(p.Recipe.SecretParams)
	for name := range p.Recipe.Params {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func paramText(v any) string {
	if list, ok := v.([]any); ok {
		var items []string
		for _, item := range list {
			items = append(items, fmt.Sprint(item))
		}
		return strings.Join(items, ",")
	}
	return fmt.Sprint(v)
}

// node is an entry with what happened below it.
type node struct {
	*Entry
	below []*node
}

func (n *node) isStep() bool { return n.Effect == nil && n.Log == nil && n.Print == nil }

// treeOf puts entries below their steps. In parallel branches steps of one name can
// be open side by side.
func treeOf(entries []Entry) *node {
	root := &node{Entry: &Entry{}}
	steps := []*node{root}
	for i := range entries {
		e := &entries[i]
		path := e.Step
		n := &node{Entry: e}
		if n.isStep() {
			path = path[:max(len(path)-1, 0)]
		}
		parent := root
		for _, s := range slices.Backward(steps) {
			if slices.Equal(s.Step, path) && (s.Branch == e.Branch || s.Branch == "" || strings.HasPrefix(e.Branch, s.Branch+".")) {
				parent = s
				break
			}
		}
		parent.below = append(parent.below, n)
		if n.isStep() {
			steps = append(steps, n)
		}
	}
	return root
}

func (r *renderer) tree(p *Plan) {
	if len(p.Entries) > 0 {
		r.line(0, "")
	}
	for _, n := range treeOf(p.Entries).below {
		r.node(n, 2, "")
	}
}

func (r *renderer) node(n *node, indent int, branch string) {
	label := ""
	if n.Branch != branch {
		label = "[" + visible(n.Branch) + "] "
	}
	switch {
	case n.Effect != nil:
		r.effect(n.Effect, indent, label)
	case n.Log != nil:
		sign := "·"
		if n.Log.Level == "warn" || n.Log.Level == "error" {
			sign = "!"
		}
		if n.Log.Level == "debug" && !r.style.Verbose {
			return
		}
		r.line(indent, r.paint(say.Dim, sign+" "+label+visible(strings.TrimSpace(n.Log.Text+" "+argsText(n.Log.Fields)))))
	case n.Print != nil:
		for l := range strings.SplitSeq(*n.Print, "\n") {
			r.line(indent, "| "+visible(strings.ReplaceAll(l, "\t", "    ")))
		}
	default:
		r.line(indent, r.paint(say.Bold, label+visible(n.Step[len(n.Step)-1])))
		for _, b := range n.below {
			r.node(b, indent+2, n.Branch)
		}
	}
}

func (r *renderer) effect(e *Effect, indent int, label string) {
	text := r.mark(e.Mark) + " " + label + visible(strings.TrimSpace(e.Op+" "+e.Target))
	if e.Undo {
		text += r.paint(say.Dim, " (undo)")
	}
	if e.Error != "" {
		text = r.paint(say.Red, "x") + strings.TrimPrefix(text, r.mark(e.Mark))
	}
	if r.style.Verbose {
		text += r.paint(say.Dim, " ("+visible(strings.TrimPrefix(e.Where+" on "+e.Endpoint, " on "))+")")
	}
	r.line(indent, text)
	if strings.HasPrefix(e.Op, "redis.") {
		for i := 0; i < len(e.Args); {
			n := 1 // a weight is a command given that many times
			for i+n < len(e.Args) && e.Args[i+n].Value == e.Args[i].Value {
				n++
			}
			r.line(indent+4, r.paint(say.Dim, visible(times(e.Args[i].Value, n))))
			i += n
		}
	} else if text := argsText(e.Args); text != "" {
		r.line(indent+4, r.paint(say.Dim, visible(r.brief(text))))
	}
	for i := 0; i < len(e.Changes); {
		n := 1 // the same on several engines
		for i+n < len(e.Changes) && e.Changes[i+n] == e.Changes[i] {
			n++
		}
		c := times(e.Changes[i], n)
		i += n
		rest := strings.TrimLeft(c, " ")
		sign := rest[:min(1, len(rest))]
		if rest != "" {
			rest = rest[1:]
		}
		r.line(indent+4+len(c)-len(strings.TrimLeft(c, " ")), r.paint(colorOf(sign), sign+visible(rest)))
	}
	if e.Error != "" {
		r.line(indent+4, r.paint(say.Red, visible(e.Error)))
	}
}

func argsText(args []effect.Arg) string {
	var parts []string
	for _, a := range args {
		switch {
		case a.Value == "": // an empty list or table, which says nothing
		case strings.ContainsAny(a.Value, " \""):
			parts = append(parts, fmt.Sprintf("%s=%q", a.Name, a.Value))
		default:
			parts = append(parts, a.Name+"="+a.Value)
		}
	}
	return strings.Join(parts, " ")
}

var titles = map[string]string{
	"list": "routing", "key": "other keys", "image": "images", "network": "networks", "volume": "volumes",
	"swarm": "swarm", "node": "nodes", "service": "services", "secret": "secrets", "config": "configs",
}

func (r *renderer) changes(p *Plan) {
	if len(p.Changes) == 0 {
		return
	}
	r.line(0, "")
	r.line(0, r.paint(say.Bold, "what would be different"))
	for _, kind := range []string{"list", "container", "service", "image", "network", "volume", "swarm", "node", "secret", "config", "key"} {
		title := ""
		for _, c := range p.Changes {
			if c.Kind != kind {
				continue
			}
			t := titles[kind]
			if kind == "container" {
				t = "containers"
				if c.App != "" {
					t += " of " + c.App
				}
			}
			if c.Engine != "" {
				t += " (" + c.Engine + ")"
			}
			if t != title {
				r.line(2, visible(t))
				title = t
			}
			r.change(c)
		}
	}
}

func (r *renderer) change(c Change) {
	text := visible(c.Name)
	if c.Text != "" {
		text += ": " + visible(c.Text)
	}
	r.line(4, r.mark(c.Mark)+" "+text)
	for _, l := range c.Lines {
		r.line(8, r.paint(colorOf(l[:min(1, len(l))]), visible(l)))
	}
}

func (r *renderer) assumed(p *Plan) {
	if len(p.Assumed) == 0 {
		return
	}
	r.line(0, "")
	r.line(0, r.paint(say.Bold, "assumed"))
	for _, a := range p.Assumed {
		r.line(2, "? "+visible(a))
	}
}

func (r *renderer) summary(p *Plan) {
	r.line(0, "")
	switch {
	case p.Nothing():
		r.line(0, r.paint(say.Green, "nothing to do:")+" everything is as "+visible(p.Recipe.Name)+" wants it")
	case p.Error != nil:
		r.line(0, r.paint(say.Red, "plan: the rehearsal failed")+"; nothing was sent to a real server")
	default:
		text := fmt.Sprintf("plan: %d to add, %d to change, %d to remove", p.Summary.Add, p.Summary.Change, p.Summary.Remove)
		if p.Summary.Other > 0 {
			text += fmt.Sprintf(", %d other", p.Summary.Other)
		}
		r.line(0, r.paint(say.Bold, text))
	}
}

// visible returns s as one line that no terminal obeys.
func visible(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsGraphic(c) }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case c == '\n':
			b.WriteString(`\n`)
		case !unicode.IsGraphic(c) && c < 0x100:
			fmt.Fprintf(&b, `\x%02x`, c)
		case !unicode.IsGraphic(c):
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
		i += n
	}
	return b.String()
}

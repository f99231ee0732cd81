package spec

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mepc/mepc-run/runtime"
)

// JSON is a Printer of one object a line: each test, then the sum.
type JSON struct {
	Out io.Writer
	err error
}

type jsonTest struct {
	Type     string     `json:"type"` // test
	File     string     `json:"file"`
	Name     []string   `json:"name"`
	Tags     []string   `json:"tags,omitempty"`
	Where    string     `json:"where,omitempty"`
	Status   Status     `json:"status"`
	Reason   string     `json:"reason,omitempty"`
	Duration float64    `json:"duration_ms"`
	Error    *jsonError `json:"error,omitempty"`
	Output   []string   `json:"output,omitempty"`
}

type jsonError struct {
	Kind    string   `json:"kind"`
	Message string   `json:"message"`
	Op      string   `json:"op,omitempty"`
	Target  string   `json:"target,omitempty"`
	Where   string   `json:"where,omitempty"`
	Hint    string   `json:"hint,omitempty"`
	Details string   `json:"details,omitempty"`
	Excerpt string   `json:"excerpt,omitempty"`
	Trace   []string `json:"trace,omitempty"`
}

func jsonErrorOf(e *runtime.Error) *jsonError {
	if e == nil {
		return nil
	}
	return &jsonError{string(e.Kind), e.Message, e.Op, e.Target, e.Where, e.Hint, e.Details, e.Excerpt, e.Trace}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (j *JSON) write(v any) {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = j.Out.Write(append(b, '\n'))
	}
	if j.err == nil {
		j.err = err
	}
}

// File writes the tests of a file.
func (j *JSON) File(f *File) {
	for _, r := range f.all() {
		j.write(jsonTest{
			Type: "test", File: f.Name, Name: r.Names, Tags: Tags(strings.Join(r.Names, " ")), Where: r.Where, Status: r.Status,
			Reason: r.Reason, Duration: milliseconds(r.Duration), Error: jsonErrorOf(r.Err), Output: r.Output,
		})
	}
}

// Coverage writes what was executed of each file.
func (j *JSON) Coverage(files []FileCoverage) {
	for _, f := range files {
		j.write(struct {
			Type string `json:"type"`
			FileCoverage
		}{"coverage", f})
	}
}

// End writes the sum.
func (j *JSON) End(s Sum) error {
	j.write(struct {
		Type     string  `json:"type"`
		Passed   int     `json:"passed"`
		Failed   int     `json:"failed"`
		Broken   int     `json:"errors"`
		Pending  int     `json:"pending"`
		Files    int     `json:"files"`
		Seed     int64   `json:"seed,omitempty"`
		Duration float64 `json:"duration_ms"`
	}{"end", s.Passed, s.Failed, s.Broken, s.Pending, s.Files, s.Seed, milliseconds(s.Duration)})
	return j.err
}

// all returns the results, and one for a file that could not be run.
func (f *File) all() []*Result {
	if f.Err == nil {
		return f.Results
	}
	return append([]*Result{{Names: []string{f.Name}, Where: f.Err.Where, Status: Broken, Err: f.Err}}, f.Results...)
}

// TAP is a Printer of the Test Anything Protocol, version 13.
type TAP struct {
	Out io.Writer
	n   int
	err error
}

func (t *TAP) write(format string, args ...any) {
	if _, err := fmt.Fprintf(t.Out, format, args...); t.err == nil {
		t.err = err
	}
}

// File writes the tests of a file.
func (t *TAP) File(f *File) {
	if t.n == 0 {
		t.write("TAP version 13\n")
	}
	for _, r := range f.all() {
		t.n++
		ok, skip := "ok", ""
		if r.Err != nil {
			ok = "not ok"
		}
		if r.Status == Pending {
			skip = " # SKIP " + strings.ReplaceAll(r.Reason, "\n", " ")
		}
		// A # in a name would begin a directive.
		name := strings.NewReplacer("#", `\#`, "\n", " ").Replace(strings.Join(r.Names, " "))
		t.write("%s %d - %s%s\n", ok, t.n, name, strings.TrimRight(skip, " "))
		if r.Err != nil {
			t.write("  ---\n  message: %q\n  severity: %s\n  at: %q\n", r.Err.Message, r.Status, r.Err.Where)
			if r.Err.Details != "" {
				t.write("  details: |\n    %s\n", strings.ReplaceAll(r.Err.Details, "\n", "\n    "))
			}
			t.write("  ...\n")
		}
	}
}

// End writes the plan.
func (t *TAP) End(Sum) error {
	t.write("1..%d\n", t.n)
	return t.err
}

// JUnit collects the results of files, for a report as CI servers read it.
type JUnit struct{ suites []junitSuite }

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	File    string       `xml:"file,attr"`
	Line    string       `xml:"line,attr,omitempty"`
	Time    string       `xml:"time,attr"`
	Failure *junitDetail `xml:"failure,omitempty"`
	Error   *junitDetail `xml:"error,omitempty"`
	Skipped *junitDetail `xml:"skipped,omitempty"`
	Output  string       `xml:"system-out,omitempty"`
}

type junitDetail struct {
	Message string `xml:"message,attr,omitempty"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// Add takes a file's results in.
func (j *JUnit) Add(f *File) {
	s := Count([]*File{f})
	suite := junitSuite{
		Name: f.Name, Tests: s.Total(), Failures: s.Failed, Errors: s.Broken, Skipped: s.Pending,
		Time: fmt.Sprintf("%.3f", f.Duration.Seconds()),
	}
	for _, r := range f.all() {
		_, line, _ := strings.Cut(r.Where, ":")
		c := junitCase{
			Class: strings.TrimSuffix(f.Name, ".lua"), Name: strings.Join(r.Names, " "), File: f.Name, Line: line,
			Time: fmt.Sprintf("%.3f", r.Duration.Seconds()), Output: strings.Join(r.Output, "\n"),
		}
		switch r.Status {
		case Pending:
			c.Skipped = &junitDetail{Message: r.Reason}
		case Failed:
			c.Failure = detail(r.Err)
		case Broken:
			c.Error = detail(r.Err)
		}
		suite.Cases = append(suite.Cases, c)
	}
	j.suites = append(j.suites, suite)
}

func detail(e *runtime.Error) *junitDetail {
	var parts []string
	for _, part := range []string{e.Where, e.Details, e.Excerpt, e.Hint} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return &junitDetail{Message: e.Message, Type: string(e.Kind), Text: strings.Join(parts, "\n")}
}

// Encode returns the report.
func (j *JUnit) Encode() ([]byte, error) {
	b, err := xml.MarshalIndent(struct {
		XMLName xml.Name `xml:"testsuites"`
		Suites  []junitSuite
	}{Suites: j.suites}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append([]byte(xml.Header), append(b, '\n')...), nil
}

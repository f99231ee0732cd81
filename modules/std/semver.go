package std

import (
	"slices"

	"github.com/Masterminds/semver/v3"

	"github.com/mepc/mepc-run/internal/failure"
	"github.com/mepc/mepc-run/runtime"
)

func (s *Std) semver() runtime.Module {
	return runtime.Module{
		Name: "semver", Self: s,
		Doc: "Semantic versions (semver.org), with or without a v before them. Missing parts are 0: 1.4 is 1.4.0.",
		Funcs: []runtime.Func{
			{
				Name:    "parse",
				Doc:     "Takes a version apart.",
				Returns: "its parts",
				Raises:  []runtime.Kind{failure.Invalid},
				Example: `local v = semver.parse("v1.4.2-rc.1")
assert(v.major == 1 and v.patch == 2 and v.prerelease == "rc.1")`,
				Call: runtime.Inline((*Std).parseVersion),
			},
			{
				Name:    "compare",
				Doc:     "Compares two versions. A prerelease comes before its release; what follows a + does not count.",
				Returns: "-1, 0 or 1: a is older, the same, newer",
				Raises:  []runtime.Kind{failure.Invalid},
				Example: `assert(semver.compare("1.9.0", "1.10.0") == -1)`,
				Call:    runtime.Inline((*Std).compareVersions),
			},
			{
				Name: "satisfies",
				Doc: "Tells whether a version is within a range: comparisons joined by commas, several such by ||; " +
					"also ~1.4 (any 1.4), ^1.4 (1.4 and later 1), 1.x and 1.2 - 1.4. A prerelease is within a range only if that names one.",
				Returns: "whether it is",
				Raises:  []runtime.Kind{failure.Invalid},
				Example: `assert(semver.satisfies("1.4.2", ">= 1.4, < 2"))`,
				Call:    runtime.Inline((*Std).satisfies),
			},
			{
				Name:    "sort",
				Doc:     "Sorts versions, the oldest first, and leaves them as they are written.",
				Returns: "a new list",
				Raises:  []runtime.Kind{failure.Invalid},
				Example: `local list = semver.sort{"1.10.0", "1.9.0", "v1.9.1"}
assert(list[1] == "1.9.0" and list[3] == "1.10.0")`,
				Call: runtime.Inline((*Std).sortVersions),
			},
		},
	}
}

// maxVersion is how long a version or a range may be. What reads them takes its time.
const maxVersion = 256

func version(c *runtime.Call, option, text string) (*semver.Version, error) {
	c.Charge(50)
	if len(text) > maxVersion {
		return nil, failure.New(failure.Invalid, "%s: a version has at most %d characters, got %d", option, maxVersion, len(text))
	}
	v, err := semver.NewVersion(text)
	if err != nil {
		return nil, failure.New(failure.Invalid, "%s: %q is not a version such as 1.4.2 or v1.4.2-rc.1", option, text)
	}
	return v, nil
}

type versionArgs struct {
	Version string `lua:"version,pos,required" doc:"the version"`
}

// Version is a version, taken apart.
type Version struct {
	Major      uint64 `lua:"major" doc:"the first number"`
	Minor      uint64 `lua:"minor" doc:"the second"`
	Patch      uint64 `lua:"patch" doc:"the third"`
	Prerelease string `lua:"prerelease" doc:"what follows the -, or nothing"`
	Metadata   string `lua:"metadata" doc:"what follows the +, or nothing"`
	Text       string `lua:"text" doc:"the version in full, without a v"`
}

func (s *Std) parseVersion(c *runtime.Call, a *versionArgs) (*Version, error) {
	v, err := version(c, "version", a.Version)
	if err != nil {
		return nil, err
	}
	return &Version{v.Major(), v.Minor(), v.Patch(), v.Prerelease(), v.Metadata(), v.String()}, nil
}

type compareArgs struct {
	A string `lua:"a,pos,required" doc:"a version"`
	B string `lua:"b,pos,required" doc:"another"`
}

func (s *Std) compareVersions(c *runtime.Call, a *compareArgs) (int, error) {
	x, err := version(c, "a", a.A)
	if err != nil {
		return 0, err
	}
	y, err := version(c, "b", a.B)
	if err != nil {
		return 0, err
	}
	return x.Compare(y), nil
}

type satisfiesArgs struct {
	Version string `lua:"version,pos,required" doc:"the version"`
	Range   string `lua:"range,pos,required" doc:"the range, such as >= 1.4, < 2"`
}

func (s *Std) satisfies(c *runtime.Call, a *satisfiesArgs) (bool, error) {
	v, err := version(c, "version", a.Version)
	if err != nil {
		return false, err
	}
	c.Charge(200)
	if len(a.Range) > maxVersion {
		return false, failure.New(failure.Invalid, "range: it has at most %d characters, got %d", maxVersion, len(a.Range))
	}
	r, err := semver.NewConstraint(a.Range)
	if err != nil {
		return false, failure.New(failure.Invalid, "range: %q is not a range such as >= 1.4, < 2", a.Range)
	}
	return r.Check(v), nil
}

type sortArgs struct {
	Versions []string `lua:"versions,pos,required" doc:"the versions"`
}

func (s *Std) sortVersions(c *runtime.Call, a *sortArgs) ([]string, error) {
	parsed := map[string]*semver.Version{}
	for _, text := range a.Versions {
		v, err := version(c, "versions", text)
		if err != nil {
			return nil, err
		}
		parsed[text] = v
	}
	list := slices.Clone(a.Versions)
	slices.SortStableFunc(list, func(x, y string) int { return parsed[x].Compare(parsed[y]) })
	return list, nil
}

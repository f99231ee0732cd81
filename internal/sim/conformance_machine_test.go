package sim_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
)

// machineTraits match what an answer tells about the machine it comes from rather than about
// the engine. They are left out on both sides before answers are compared.
var machineTraits = []struct {
	what   string
	fields string         // of JSON objects, by name
	text   *regexp.Regexp // whole JSON strings
	call   *regexp.Regexp // calls that some machines accept and others refuse
}{
	{
		what:   "cgroups, version 1 or 2, and which limits the kernel has",
		fields: "CgroupnsMode CgroupDriver CgroupVersion MemorySwappiness OomKillDisable CpuCfsPeriod CpuCfsQuota CPUShares CPUSet MemoryLimit",
	},
	{
		what:   "swap and kernel memory",
		fields: "MemorySwap SwapLimit KernelMemory KernelMemoryTCP",
	},
	{
		what: "limits that the machine does not have: warnings",
		text: regexp.MustCompile(`(?i)^(warning: )?(your kernel does not support|no .* support|support for cgroup|specifying a kernel memory limit|kernel memory .*deprecated|oomkilldisable is) ?.*|.*cgroup is not mounted.*`),
	},
	{
		what: "a memory limit alone, which is refused only where swap is accounted",
		call: regexp.MustCompile(`^POST /containers/\S+/update \{"Memory":\d+\}`),
	},
	{
		what: "the storage driver",
		text: regexp.MustCompile(`^(overlay2?|overlayfs|fuse-overlayfs|aufs|btrfs|zfs|vfs|devicemapper)$`), fields: "DriverStatus GraphDriver",
	},
	{
		what: "the network of the machine: warnings",
		text: regexp.MustCompile(`^(WARNING: )?(IPv4 forwarding is disabled.*|bridge-nf-call-ip6?tables is disabled)$`),
	},
	{
		what:   "the machine's size, kernel and security modules",
		fields: "NCPU MemTotal KernelVersion OperatingSystem OSVersion Architecture SecurityOptions AppArmorProfile",
	},
}

// ofTheMachine reports whether the answer to a call depends on the machine.
func ofTheMachine(step string) bool {
	for _, trait := range machineTraits {
		if trait.call != nil && trait.call.MatchString(step) {
			return true
		}
	}
	return false
}

// apart leaves in a body of JSON what a client can tell apart on any machine. A list
// that is empty, null or absent is the same to it. Other bodies stay as they are.
func apart(body []byte) []byte {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var out [][]byte
	for {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return bytes.Join(out, []byte("\n"))
		}
		if err != nil {
			return body
		}
		line, err := json.Marshal(distinct(v))
		if err != nil {
			return body
		}
		out = append(out, line)
	}
}

// distinct returns nil for what does not count.
func distinct(v any) any {
	switch v := v.(type) {
	case string:
		for _, trait := range machineTraits {
			if trait.text != nil && trait.text.MatchString(v) {
				return nil
			}
		}
	case map[string]any:
		for name, field := range v {
			if v[name] = distinct(field); v[name] == nil || machineField(name) {
				delete(v, name)
			}
		}
	case []any:
		var kept []any
		for _, e := range v {
			if d := distinct(e); d != nil || !isText(e) { // a list's other elements keep their places
				kept = append(kept, d)
			}
		}
		if len(kept) == 0 {
			return nil
		}
		return kept
	}
	return v
}

func isText(v any) bool { _, is := v.(string); return is }

func machineField(name string) bool {
	for _, trait := range machineTraits {
		for f := range strings.FieldsSeq(trait.fields) {
			if f == name {
				return true
			}
		}
	}
	return false
}

// TestAnswersOfDifferentMachinesAreTheSame has pairs of bodies as engines answer them
// with cgroups of version 1 and 2, with and without swap accounting.
func TestAnswersOfDifferentMachinesAreTheSame(t *testing.T) {
	const noSwap = `"Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."`
	for _, c := range []struct{ name, v1, v2 string }{
		{"an update's warnings", `{"Warnings":null}`, `{"Warnings":[]}`},
		{"an update's warnings, absent", `{}`, `{"Warnings":[]}`},
		{"a machine's warning", `{"Id":"a","Warnings":[` + noSwap + `]}`, `{"Id":"a","Warnings":[]}`},
		{
			"several of a machine's warnings", `{"Warnings":["Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.",` + noSwap + `]}`,
			`{"Warnings":["IPv4 forwarding is disabled. Networking will not work."]}`,
		},
		{
			"info", `{"CgroupDriver":"cgroupfs","CgroupVersion":"1","KernelMemory":true,"SwapLimit":true,"Driver":"vfs","Warnings":["WARNING: No swap limit support","WARNING: No blkio throttle.read_bps_device support"],"OSType":"linux"}`,
			`{"CgroupDriver":"systemd","CgroupVersion":"2","KernelMemory":false,"SwapLimit":false,"Driver":"overlay2","Warnings":["WARNING: No kernel memory limit support","WARNING: Support for cgroup v2 is experimental"],"OSType":"linux"}`,
		},
		{
			"inspect", `{"HostConfig":{"CgroupnsMode":"host","Memory":50000000,"MemorySwap":-1,"KernelMemory":0,"MemorySwappiness":null,"OomKillDisable":false},"Driver":"overlay2","GraphDriver":{"Name":"overlay2"}}`,
			`{"HostConfig":{"CgroupnsMode":"private","Memory":50000000,"MemorySwap":100000000,"OomKillDisable":null,"Binds":[]},"Driver":"btrfs","GraphDriver":{"Name":"btrfs"}}`,
		},
		{"a whole list", `null`, `[]`},
		{"a list in a list", `[[],1]`, `[null,1]`},
		{"a stream", "{\"stream\":\"a\"}\r\n{\"aux\":null}\r\n", "{\"stream\":\"a\"}\n{}\n"},
	} {
		if v1, v2 := string(apart([]byte(c.v1))), string(apart([]byte(c.v2))); v1 != v2 {
			t.Errorf("%s:\n  cgroup v1: %s\n  cgroup v2: %s", c.name, v1, v2)
		}
	}
	alone := `POST /containers/<a>/update {"Memory":50000000}`
	if !ofTheMachine(alone) || ofTheMachine(strings.Replace(alone, "}", `,"MemorySwap":100000000}`, 1)) {
		t.Error("of the calls that set a memory limit, the one without a swap limit depends on the machine")
	}
}

// TestWhatAClientCanTellApartIsCompared holds the other side: none of these are the same.
func TestWhatAClientCanTellApartIsCompared(t *testing.T) {
	for _, c := range [][2]string{
		{`{"Warnings":["the image's platform does not match"]}`, `{"Warnings":[]}`},
		{`{"Warnings":[""]}`, `{"Warnings":[]}`},
		{`{"Health":{}}`, `{"Health":null}`},
		{`{"Memory":1}`, `{"Memory":2}`},
		{`{"Running":false}`, `{}`},
		{`{"Size":0}`, `{}`},
		{`{"Name":""}`, `{}`},
		{`[1,null]`, `[null,1]`},
		{`[null]`, `[]`},
		{`{"Id":"1"} {"Id":"2"}`, `{"Id":"1"}`},
		{`{"N":12345678901234567890}`, `{"N":12345678901234567891}`},
		{`not json`, `{}`},
		{``, `{}`},
	} {
		if a, b := string(apart([]byte(c[0]))), string(apart([]byte(c[1]))); a == b {
			t.Errorf("%s and %s are both %s", c[0], c[1], a)
		}
	}
}

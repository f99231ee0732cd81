package sim_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

var (
	longID    = regexp.MustCompile(`[0-9a-f]{64}`)
	shortID   = regexp.MustCompile(`\b[0-9a-f]{12}\b`)
	ipv4      = regexp.MustCompile(`\b(?:10|172|192)\.\d+\.\d+\.\d+\b`)
	timestamp = regexp.MustCompile(`\b20\d\d-\d\d-\d\dT[0-9:.]+Z`)
	unixTime  = regexp.MustCompile(`\b1[78]\d{8}(\d{9})?\b`)
	hostPort  = regexp.MustCompile(`\b(3[2-9]|[45]\d)\d{3}\b`)
	tempDir   = regexp.MustCompile(`/[a-z0-9/.-]*/docker-import-\d+`)
	root      = regexp.MustCompile(`(/var/lib/docker|/tmp/mepc-lab-\d+/data)`)
	ago       = regexp.MustCompile(`(Up|Exited \(\d+\)|Restarting \(\d+\)) (Less than a second|About a minute|\d+ \w+)`)
	stepID    = regexp.MustCompile(`(?m)^\{"stream":" ---\\u003e (\[Warning\].*|Running in.*|Using cache\\n"\}|[0-9a-f#~]*\\n"\}).*\n?|^\{"stream":"Removing intermediate.*\n?`)
	macAddr   = regexp.MustCompile(`02:42:[0-9a-f:]+`)
)

// normal takes out what may differ between two runs of the same calls.
func (s *subject) normal(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = tempDir.ReplaceAllString(text, "TMP") // these two before unixTime, which their numbers can look like
	text = root.ReplaceAllString(text, "ROOT")
	text = stepID.ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, s.prefix, "")
	text = longID.ReplaceAllStringFunc(text, func(id string) string {
		n := slices.Index(s.seen, id)
		if n < 0 {
			n = len(s.seen)
			s.seen = append(s.seen, id)
		}
		return fmt.Sprintf("#%d", n+1)
	})
	text = shortID.ReplaceAllStringFunc(text, func(id string) string {
		for n, full := range s.seen {
			if strings.HasPrefix(full, id) {
				return fmt.Sprintf("#%d~", n+1)
			}
		}
		return "#~"
	})
	text = ipv4.ReplaceAllStringFunc(text, func(ip string) string {
		n := slices.Index(s.ips, ip)
		if n < 0 {
			n = len(s.ips)
			s.ips = append(s.ips, ip)
		}
		return fmt.Sprintf("ip%d", n+1)
	})
	text = macAddr.ReplaceAllString(text, "MAC")
	text = timestamp.ReplaceAllString(text, "TIME")
	text = unixTime.ReplaceAllString(text, "UNIX")
	text = hostPort.ReplaceAllString(text, "PORT")
	text = ago.ReplaceAllString(text, "$1 AGO")
	// The bytes of a stream's frames, so that the answers can be kept as JSON.
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if c := text[i]; c < ' ' && c != '\n' || c >= 0x7f {
			fmt.Fprintf(&out, `\x%02x`, c)
		} else {
			out.WriteByte(c)
		}
	}
	return strings.TrimSpace(out.String())
}

// errorClass returns the part of a connection error that is the same everywhere.
func errorClass(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "no such host"
	case strings.Contains(err.Error(), "refused"), strings.Contains(err.Error(), "no route"), errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "timeout"):
		return "unreachable"
	}
	return "error " + err.Error()
}

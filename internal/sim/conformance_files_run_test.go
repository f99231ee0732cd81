package sim_test

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// filesTar makes a tar of words such as dir/name=content.
func filesTar(t *testing.T, words []string) []byte {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, w := range words {
		name, content, _ := strings.Cut(w, "=")
		content = strings.NewReplacer(`\xff`, "\xff", `\xfe`, "\xfe", `\x00`, "\x00").Replace(content)
		h := &tar.Header{Name: name, Mode: 0o640, Uid: 7, Gid: 8, Size: int64(len(content)), ModTime: time.Unix(1e9, 0)}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tarFiles writes what a tar has in words.
func tarFiles(t *testing.T, b []byte) string {
	t.Helper()
	var out []string
	for tr := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(out, "\n")
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %o %d:%d %q", h.Name, h.Mode, h.Uid, h.Gid, content))
	}
}

var mtime = regexp.MustCompile(`"mtime":"[^"]*"`)

// stat asks for the header that says what a path is.
func (s *subject) stat(t *testing.T, path string) string {
	t.Helper()
	path, query, _ := strings.Cut(path, "?")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://engine/v1.41"+path+"?"+escapeQuery(query), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.engine(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := base64.StdEncoding.DecodeString(resp.Header.Get("X-Docker-Container-Path-Stat"))
	if err != nil {
		t.Fatal(err)
	}
	return s.normal(fmt.Sprint(resp.StatusCode, " ", mtime.ReplaceAllString(string(b), "MTIME")))
}

package sim_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"sort"
	"strings"
	"testing"
)

func contextTar(t testing.TB, dockerfile string) []byte {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, f := range [][2]string{{"Dockerfile", dockerfile}, {"f", "hi\n"}, {"dir/one", "1\n"}, {"dir/two", "2\n"}} {
		if err := tw.WriteHeader(&tar.Header{Name: f[0], Mode: 0o755, Size: int64(len(f[1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarNames(t *testing.T, b []byte) string {
	t.Helper()
	var names []string
	for tr := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			sort.Strings(names)
			// IDs sort by chance: what counts is which kinds of files there are.
			for i, n := range names {
				names[i] = longID.ReplaceAllString(n, "ID")
			}
			sort.Strings(names)
			return strings.Join(names, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeDir {
			names = append(names, h.Name)
		}
	}
}

// broken returns the saved tar, or what a bad transfer would make of it.
func (s *subject) broken(t *testing.T, kind string) []byte {
	t.Helper()
	switch kind {
	case "whole":
		return s.tar
	case "half":
		r := bytes.NewReader(s.tar)
		for tr := tar.NewReader(r); ; {
			h, err := tr.Next()
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(h.Name, "layer.tar") {
				return s.tar[:len(s.tar)-r.Len()+100]
			}
		}
	case "nothing":
		return nil
	case "garbage":
		return bytes.Repeat([]byte("this is no tar"), 100)
	case "gzip":
		var b bytes.Buffer
		zw := gzip.NewWriter(&b)
		zw.Write(s.tar)
		zw.Close()
		return b.Bytes()
	}
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for tr := tar.NewReader(bytes.NewReader(s.tar)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if kind == "no-layers" && strings.HasSuffix(h.Name, "layer.tar") || kind == "no-manifest" && (h.Name == "manifest.json" || h.Name == "repositories") ||
			kind == "no-config" && strings.HasSuffix(h.Name, ".json") && h.Name != "manifest.json" {
			continue
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(tw, tr); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestParseKeys(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "ctrl-p,ctrl-q": "\x10\x11", "ctrl-@": "\x00", "ctrl-[,x": "\x1bx", "ctrl-_": "\x1f", "-": "-",
	} {
		if got, err := parseKeys(in); err != nil || string(got) != want {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	for _, in := range []string{"ab", "ctrl-", "ctrl-P", "ctrl-1", "ctrl-ab", "a,", "ctrl"} {
		if got, err := parseKeys(in); err == nil {
			t.Errorf("%q was read as %q", in, got)
		}
	}
}

// Everything typed arrives but the sequence, however the reads are cut.
func TestKeys(t *testing.T) {
	for in, want := range map[string]struct {
		text     string
		detached bool
	}{
		"hello":            {"hello", false},
		"hello\x10\x11bye": {"hello", true},
		"\x10\x11":         {"", true},
		"a\x10b":           {"a\x10b", false},
		"a\x10\x10\x11b":   {"a\x10", true},
		"a\x10":            {"a\x10", false},
		"":                 {"", false},
	} {
		for name, cut := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "with end": iotest.DataErrReader,
		} {
			k := &keys{from: cut(strings.NewReader(in)), sequence: []byte("\x10\x11")}
			var out bytes.Buffer
			err := copyKeys(&out, k)
			if out.String() != want.text || errors.Is(err, errDetached) != want.detached {
				t.Errorf("%q (%s): %q %v", in, name, out.String(), err)
			}
		}
	}
}

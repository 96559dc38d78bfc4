package log

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// all reads a log to its end.
func all(t testing.TB, path string, o ReadOptions) []Entry {
	t.Helper()
	r, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var es []Entry
	for {
		e, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return es
		}
		if err != nil {
			t.Fatal(err)
		}
		es = append(es, e)
	}
}

// joined puts a stream's text together again.
func joined(es []Entry, stream string) string {
	var b strings.Builder
	for _, e := range es {
		if e.Stream != stream {
			continue
		}
		b.WriteString(e.Text)
		if !e.Partial {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func newWriter(t testing.TB, path string, o Options) *Writer {
	t.Helper()
	w, err := NewWriter(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestWriteReadIdentity(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n, ".log"))
		o := Options{MaxSize: int64(rapid.IntRange(0, 3000).Draw(rt, "size")), MaxFiles: 1000}
		w := newWriter(t, path, o)
		want := map[string]string{}
		piece := rapid.OneOf(
			rapid.SliceOf(rapid.Byte()),
			rapid.SliceOf(rapid.SampledFrom([]byte("ab\n\r\x00"))),
			rapid.Custom(func(rt *rapid.T) []byte {
				return []byte(strings.Repeat("x", rapid.IntRange(MaxText-2, 3*MaxText).Draw(rt, "long")) + "\n")
			}),
		)
		for range rapid.IntRange(0, 20).Draw(rt, "writes") {
			stream := rapid.SampledFrom([]string{"stdout", "stderr"}).Draw(rt, "stream")
			p := piece.Draw(rt, "bytes")
			if k, err := w.Stream(stream).Write(p); k != len(p) || err != nil {
				rt.Fatal(k, err)
			}
			want[stream] += string(p)
			if rapid.IntRange(0, 9).Draw(rt, "reopen") == 0 {
				w.Close()
				w = newWriter(t, path, o)
			}
		}
		es := all(t, path, ReadOptions{})
		for _, stream := range []string{"stdout", "stderr"} {
			if got := joined(es, stream); got != want[stream] {
				rt.Fatalf("%s: got %q, want %q", stream, got, want[stream])
			}
		}
		for _, e := range es {
			if len(e.Text) > MaxText {
				rt.Fatalf("a piece of %d bytes", len(e.Text))
			}
		}
	})
}

func TestPromptShowsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	w := newWriter(t, path, Options{})
	w.Stream("stdout").Write([]byte("line\nlogin: "))
	es := all(t, path, ReadOptions{})
	if len(es) != 2 || es[1].Text != "login: " || !es[1].Partial {
		t.Fatalf("%+v", es)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatal(st.Mode(), err)
	}
}

func TestRotationKeepsNewestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	w := newWriter(t, path, Options{MaxSize: 500, MaxFiles: 3})
	for i := range 100 {
		fmt.Fprintf(w.Stream("stdout"), "line %03d\n", i)
	}
	names, _ := filepath.Glob(path + "*")
	if len(names) != 3 {
		t.Fatal(names)
	}
	for _, n := range names {
		if st, _ := os.Stat(n); st.Size() > 500 {
			t.Errorf("%s has %d bytes", n, st.Size())
		}
	}
	es := all(t, path, ReadOptions{})
	for i, e := range es {
		if want := fmt.Sprintf("line %03d", 100-len(es)+i); e.Text != want {
			t.Fatalf("entry %d is %q, want %q", i, e.Text, want)
		}
	}
	w.Close()
	newWriter(t, path, Options{MaxSize: 500, MaxFiles: 1})
	if names, _ := filepath.Glob(path + "*"); len(names) != 1 {
		t.Fatal("files beyond a lowered MaxFiles stay:", names)
	}
}

// Many lines that arrive at once are no reason for a file beyond its limit.
func TestOneWriteFillsSeveralFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	const limit = 4 << 10
	w := newWriter(t, path, Options{MaxSize: limit, MaxFiles: 3})
	text := strings.Repeat(strings.Repeat("x", 90)+"\n", 1000)
	if _, err := io.WriteString(w.Stream("stdout"), text); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		st, err := os.Stat(rotated(path, n))
		if err != nil {
			t.Fatal(err)
		}
		if st.Size() > limit || st.Size() == 0 {
			t.Errorf("%s has %d bytes, its limit is %d", st.Name(), st.Size(), limit)
		}
	}
}

func TestTornLineIsEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	torn := "2026-11-23T10:00:00.000000000Z stdout F whole\n2026-11-23T10:00:00.000000000Z stdout F to"
	if err := os.WriteFile(path, []byte(torn), 0o600); err != nil {
		t.Fatal(err)
	}
	if es := all(t, path, ReadOptions{}); len(es) != 1 {
		t.Fatalf("a torn line was returned: %+v", es)
	}
	w := newWriter(t, path, Options{})
	w.Stream("stdout").Write([]byte("next\n"))
	if got := joined(all(t, path, ReadOptions{}), "stdout"); got != "whole\nto\nnext\n" {
		t.Fatalf("%q", got)
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	w := newWriter(t, path, Options{MaxSize: 20 << 10, MaxFiles: 50})
	const lines = 400
	for i := range lines {
		// Every tenth line is long enough to be split and to cross chunks.
		pad := ""
		if i%10 == 0 {
			pad = strings.Repeat("y", MaxText+100)
		}
		fmt.Fprintf(w.Stream("stdout"), "%d %s\n", i, pad)
	}
	for _, n := range []int{1, 2, 3, 11, 57, 399, 400, 1000} {
		got := joined(all(t, path, ReadOptions{Tail: n}), "stdout")
		if have, want := strings.Count(got, "\n"), min(n, lines); have != want {
			t.Fatalf("tail %d gave %d lines", n, have)
		}
		if first := fmt.Sprint(lines-min(n, lines), " "); !strings.HasPrefix(got, first) {
			t.Fatalf("tail %d starts with %.20q, want %q", n, got, first)
		}
	}
	if es := all(t, path, ReadOptions{Tail: -1}); len(es) != 0 {
		t.Fatalf("tail none gave %d entries", len(es))
	}
	w.Stream("stdout").Write([]byte("prompt> "))
	if es := all(t, path, ReadOptions{Tail: 1}); len(es) != 1 || es[0].Text != "prompt> " {
		t.Fatalf("%+v", es)
	}
}

func TestSinceUntil(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	w := newWriter(t, path, Options{MaxSize: 300, MaxFiles: 100})
	t0 := time.Now().Truncate(time.Second).Add(-time.Minute)
	for i := range 50 {
		w.now = func() time.Time { return t0.Add(time.Duration(i) * time.Second) }
		fmt.Fprintf(w.Stream("stderr"), "%d\n", i)
	}
	es := all(t, path, ReadOptions{Since: t0.Add(10 * time.Second), Until: t0.Add(20 * time.Second)})
	if len(es) != 11 || es[0].Text != "10" || es[10].Text != "20" {
		t.Fatalf("%+v", es)
	}
	// Rotated files that end before Since are not even read.
	for i := 1; ; i++ {
		if os.Chtimes(rotated(path, i), t0, t0.Add(-time.Hour)) != nil {
			break
		}
	}
	r, err := Open(path, ReadOptions{Since: t0})
	if err != nil || len(r.queue) != 1 {
		t.Fatal(err, "old files are read")
	}
	r.Close()
}

func TestMissingLog(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "a.log"), ReadOptions{})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestMerge(t *testing.T) {
	dir := t.TempDir()
	t0 := time.Now()
	var rs []*Reader
	for c := range 3 {
		path := filepath.Join(dir, fmt.Sprint(c))
		w := newWriter(t, path, Options{})
		for i := c; i < 30; i += 3 {
			w.now = func() time.Time { return t0.Add(time.Duration(i) * time.Millisecond) }
			fmt.Fprintln(w.Stream("stdout"), i)
		}
		r, err := Open(path, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		rs = append(rs, r)
	}
	m := Merge(rs...)
	for i := range 30 {
		c, e, err := m.Next(context.Background())
		if err != nil || c != i%3 || e.Text != fmt.Sprint(i) {
			t.Fatal(i, c, e, err)
		}
	}
	if _, _, err := m.Next(context.Background()); err != io.EOF {
		t.Fatal(err)
	}
}

func TestNoDescriptorLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	w := newWriter(t, path, Options{MaxSize: 100, MaxFiles: 5})
	for i := range 50 {
		fmt.Fprintln(w.Stream("stdout"), i)
	}
	count := func() int { d, _ := os.ReadDir("/proc/self/fd"); return len(d) }
	before := count()
	for range 5 {
		all(t, path, ReadOptions{Tail: 3})
		all(t, path, ReadOptions{})
	}
	if after := count(); after != before {
		t.Fatalf("%d descriptors before, %d after", before, after)
	}
}

package notify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stack/runtime/log"
	"stack/runtime/log/notify"
)

func follower(t *testing.T, path string, o log.ReadOptions) (*log.Reader, context.Context) {
	t.Helper()
	n, err := notify.New()
	if err != nil {
		t.Fatal(err)
	}
	o.Follow, o.Notifier = true, n
	r, err := log.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(func() { r.Close(); n.Close(); cancel() })
	return r, ctx
}

func writer(t *testing.T, path string, o log.Options) *log.Writer {
	t.Helper()
	w, err := log.NewWriter(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func expect(t *testing.T, ctx context.Context, r *log.Reader, want string) {
	t.Helper()
	e, err := r.Next(ctx)
	if err != nil || e.Text != want {
		t.Fatalf("got %q, %v; want %q", e.Text, err, want)
	}
}

func TestFollowFromBeforeTheFileExists(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	done := make(chan struct{})
	r, ctx := follower(t, path, log.ReadOptions{Done: done})
	got := make(chan string, 2)
	go func() {
		for {
			e, err := r.Next(ctx)
			if err != nil {
				got <- err.Error()
				return
			}
			got <- e.Text
		}
	}()
	w := writer(t, path, log.Options{})
	fmt.Fprintln(w.Stream("stdout"), "first")
	if s := <-got; s != "first" {
		t.Fatal(s)
	}
	close(done)
	if s := <-got; s != io.EOF.Error() {
		t.Fatal(s)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	r, _ := follower(t, path, log.ReadOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestFollowUntil(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	r, ctx := follower(t, path, log.ReadOptions{Until: time.Now().Add(30 * time.Millisecond)})
	if _, err := r.Next(ctx); err != io.EOF {
		t.Fatal(err)
	}
}

// A fast writer rotates far more often than the reader looks.
func TestFollowAcrossManyRotations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	w := writer(t, path, log.Options{MaxSize: 2000, MaxFiles: 10000})
	r, ctx := follower(t, path, log.ReadOptions{})
	const lines = 20000
	go func() {
		for i := range lines {
			fmt.Fprintln(w.Stream("stdout"), i)
		}
	}()
	for i := range lines {
		expect(t, ctx, r, fmt.Sprint(i))
	}
}

func TestSlowReaderAcrossTwoRotations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	// Two files are kept: after two rotations the reader's file has no name.
	w := writer(t, path, log.Options{MaxSize: 60, MaxFiles: 2})
	out := w.Stream("stdout")
	fmt.Fprintln(out, "one")
	r, ctx := follower(t, path, log.ReadOptions{})
	expect(t, ctx, r, "one")
	for _, s := range []string{"two", "three"} {
		fmt.Fprintln(out, s)
	}
	expect(t, ctx, r, "two")
	expect(t, ctx, r, "three")
	fmt.Fprintln(out, "four")
	expect(t, ctx, r, "four")
}

func TestFollowAcrossWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	w := writer(t, path, log.Options{})
	r, ctx := follower(t, path, log.ReadOptions{Tail: -1})
	fmt.Fprintln(w.Stream("stdout"), "one")
	w.Close()
	fmt.Fprintln(writer(t, path, log.Options{}).Stream("stdout"), "two")
	expect(t, ctx, r, "one")
	expect(t, ctx, r, "two")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(writer(t, path, log.Options{}).Stream("stdout"), "three")
	expect(t, ctx, r, "three")
}

func TestOneInstanceForMany(t *testing.T) {
	dir := t.TempDir()
	n, err := notify.New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	a, stopA, err := n.Watch(filepath.Join(dir, "a.log"))
	if err != nil {
		t.Fatal(err)
	}
	b, stopB, err := n.Watch(filepath.Join(dir, "b.log"))
	if err != nil {
		t.Fatal(err)
	}
	stopB()
	stopB()
	if err := os.WriteFile(filepath.Join(dir, "a.log"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	<-a
	select {
	case <-b:
		t.Fatal("woken for another's file")
	default:
	}
	stopA()
	if _, _, err := n.Watch(filepath.Join(dir, "none", "a.log")); err == nil {
		t.Fatal("watching a missing directory succeeds")
	}
}

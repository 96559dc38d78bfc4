package native

import (
	"context"
	"errors"
	"testing"

	"stack/runtime"
	"stack/runtime/native/stub"
)

// A failure that is followed by the end of file at once is never taken for the
// end of file, which means success.
func TestLastMessageBeforeClose(t *testing.T) {
	for _, c := range []struct{ first, second, want int }{{0, 16, 16}, {0, 0, 0}, {8, 16, 8}} {
		next := []int{c.first, c.second}
		n, _, err := lastMessage(func() (int, int, error) {
			n := next[0]
			next = next[1:]
			return n, 0, nil
		})
		if n != c.want || err != nil {
			t.Errorf("%+v: got %d, %v", c, n, err)
		}
	}

	ours, theirs, err := newControl(stub.Table{{From: 0, Do: "fail"}})
	check(t, err)
	defer ours.close()
	_, err = theirs.Write(make([]byte, stub.FailureSize))
	check(t, err)
	theirs.Close()
	var step *runtime.StepError
	if err := ours.finish(context.Background()); !errors.As(err, &step) {
		t.Errorf("got %v", err)
	}
}

// A stub that hangs does not hang its creator.
func TestReceiveEndsWithContext(t *testing.T) {
	ours, theirs, err := newControl(nil)
	check(t, err)
	defer ours.close()
	defer theirs.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go cancel()
	if _, err := ours.expect(ctx, msgReady); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

package netns

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the number of backends, every slot has one, and shares differ by one
// slot at most.
func TestSlotsAreSharedOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, maxPorts).Draw(t, "backends")
		next, least, most := 0, slots, 0
		for i := range n {
			from, to, _ := strings.Cut(spread(i, n), "-")
			low, err1 := strconv.Atoi(from)
			high, err2 := strconv.Atoi(to)
			if err1 != nil || err2 != nil || low != next || high < low {
				t.Fatalf("share %d of %d is %s-%s, want it to begin at %d", i, n, from, to, next)
			}
			next, least, most = high+1, min(least, high-low), max(most, high-low)
		}
		if next != slots || most-least > 1 {
			t.Fatalf("%d backends share %d slots, between %d and %d each", n, next, least+1, most+1)
		}
	})
}

func TestBalanceIsStable(t *testing.T) {
	backend := func(port int, addr string) element {
		return element{Key: []string{"tcp", strconv.Itoa(port)}, Data: []string{addr, "80"}}
	}
	a := balance([]element{backend(1, "10.0.0.3"), backend(2, "10.0.0.9"), backend(1, "10.0.0.2"), backend(1, "10.0.0.3")})
	b := balance([]element{backend(1, "10.0.0.2"), backend(1, "10.0.0.3"), backend(2, "10.0.0.9")})
	want := "[tcp . 1 . 0-32767 : 10.0.0.2 . 80 tcp . 1 . 32768-65535 : 10.0.0.3 . 80 tcp . 2 . 0-65535 : 10.0.0.9 . 80]"
	if got := fmt.Sprint(a); got != want || fmt.Sprint(b) != want {
		t.Errorf("got %v and %v, want %s", a, b, want)
	}
	if again := balance(unshare(a)); fmt.Sprint(again) != want {
		t.Errorf("shared out again: %v", again)
	}
}

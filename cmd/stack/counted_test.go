package main

import "testing"

func TestCounted(t *testing.T) {
	read := func(kills int, lines ...int) error {
		c := counted{next: 1}
		for _, n := range lines {
			if err := c.line(n); err != nil {
				return err
			}
		}
		return c.check(kills)
	}
	for name, bad := range map[string]error{
		"a doubled line":        read(4, 1, 2, 2, 3),
		"a line out of order":   read(4, 1, 3, 2),
		"a gap at each death":   read(4, 1, 3, 5, 7, 9),
		"a second's lines":      read(4, 1, 2, 200),
		"more gaps than deaths": read(0, 1, 3, 5),
	} {
		if bad == nil {
			t.Errorf("%s passes", name)
		}
	}
	if err := read(4, 1, 2, 4, 5); err != nil {
		t.Errorf("what a shim had in hand: %v", err)
	}
}

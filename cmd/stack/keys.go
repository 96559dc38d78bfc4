package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// errDetached is what keys end with after the detach sequence.
var errDetached = errors.New("detached")

// copyKeys copies what is typed to a program's terminal or input.
func copyKeys(to io.Writer, from io.Reader) error {
	_, err := io.Copy(to, from)
	return err
}

// keys passes on what is typed but for the sequence that detaches. What could be
// the sequence's beginning waits until it is clear that it is not.
type keys struct {
	from     io.Reader
	sequence []byte
	matched  int    // how much of the sequence was typed
	pending  []byte // to be given out before more is read
	err      error
}

// Read implements io.Reader; it ends with errDetached.
func (k *keys) Read(p []byte) (int, error) {
	for len(k.pending) == 0 {
		if k.err != nil {
			return 0, k.err
		}
		buf := make([]byte, max(1, len(p)))
		n, err := k.from.Read(buf)
		k.take(buf[:n])
		if k.err == nil {
			k.err = err
		}
		if err != nil && k.matched > 0 && !errors.Is(k.err, errDetached) {
			k.pending = append(k.pending, k.sequence[:k.matched]...)
			k.matched = 0
		}
	}
	n := copy(p, k.pending)
	k.pending = k.pending[n:]
	return n, nil
}

func (k *keys) take(typed []byte) {
	if len(k.sequence) == 0 {
		k.pending = append(k.pending, typed...)
		return
	}
	for _, b := range typed {
		if b != k.sequence[k.matched] {
			k.pending = append(k.pending, k.sequence[:k.matched]...)
			k.matched = 0
		}
		if b != k.sequence[k.matched] {
			k.pending = append(k.pending, b)
			continue
		}
		if k.matched++; k.matched == len(k.sequence) {
			k.matched, k.err = 0, errDetached
			return
		}
	}
}

// parseKeys reads a detach sequence such as "ctrl-p,ctrl-q" or "a"; empty has none.
func parseKeys(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	var out []byte
	for key := range strings.SplitSeq(text, ",") {
		switch control, ok := strings.CutPrefix(key, "ctrl-"); {
		case len(key) == 1:
			out = append(out, key[0])
		case ok && len(control) == 1 && control[0] >= 'a' && control[0] <= 'z':
			out = append(out, control[0]-'a'+1)
		case ok && len(control) == 1 && strings.Contains("@[\\]^_", control):
			out = append(out, control[0]&0x1f)
		default:
			return nil, fmt.Errorf("cannot read the key %q of %q: want a character or ctrl- and one of a-z @ [ \\ ] ^ _", key, text)
		}
	}
	return out, nil
}

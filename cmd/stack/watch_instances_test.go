package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"stack/scheduler"
)

// TestWatchGivesTheNewest: who was busy while containers came gets one list with
// all of them, not the older ones first.
func TestWatchGivesTheNewest(t *testing.T) {
	root := t.TempDir()
	s := &scheduler.Store{Layout: scheduler.Layout{Run: root + "/run", Lib: root + "/lib"}, Project: "p"}
	if err := s.Init(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	lists, err := watchInstances(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if first := <-lists; len(first) != 0 {
		t.Fatalf("%d containers of none", len(first))
	}
	const many = 20
	for n := range many {
		i := &scheduler.Instance{ID: strings.Repeat(string(rune('a'+n)), 64), Name: "p-a-1", Service: "a"}
		if err := s.SaveInstance(i); err != nil {
			t.Fatal(err)
		}
	}
	for seen := 0; ; seen++ {
		list, ok := <-lists
		if !ok {
			t.Fatal("the last one never came")
		}
		if len(list) == many {
			if seen > many/2 {
				t.Errorf("%d outdated lists came first", seen)
			}
			return
		}
	}
}

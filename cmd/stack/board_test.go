package main

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"stack/runtime/image"
	"stack/scheduler"
)

// boardOf has two images: one that is there, and one whose layers are on their way.
func boardOf() *board {
	b := &board{w: io.Discard, fd: -1}
	at := time.Unix(0, 0)
	b.show(&scheduler.Event{Time: at, Type: "image", Name: "reg.example/big:1", Progress: "Pulling"})
	b.show(&scheduler.Event{Time: at.Add(2 * time.Second), Type: "image", Name: "small", Progress: "Pulled"})
	layers := []image.Progress{
		{Layer: "aaaaaaaaaaaa", Status: "Pull complete", Current: 10, Total: 10},
		{Layer: "bbbbbbbbbbbb", Status: "Downloading", Current: 5_000_000, Total: 10_000_000},
		{Layer: "cccccccccccc", Status: "Extracting", Current: 700_000, Total: 700_000},
		{Layer: "dddddddddddd", Status: "Waiting", Total: 99},
	}
	b.note("Image", "reg.example/big:1", bar(layers), layers)
	b.rows[0].took = 1500 * time.Millisecond
	return b
}

func TestBoard(t *testing.T) {
	for want, lines := range map[string][]string{
		`[+] 1/2
 ⠿ Image reg.example/big:1 [=====               ] 10.7MB Pulling           1.5s
   aaaaaaaaaaaa Pull complete
   bbbbbbbbbbbb Downloading          [==========          ]       5MB / 10MB
   cccccccccccc Extracting           [====================]     700kB / 700kB
   dddddddddddd Waiting
 ✔ Image small Pulled                                                      0.0s`: boardOf().lines(80, 22),
		// Little room: what moves is shown, what is finished is not.
		`[+] 1/2
 ⠿ Image reg.example/big:1 [=====               ] 10.7MB Pulling           1.5s
   bbbbbbbbbbbb Downloading          [==========          ]       5MB / 10MB
 ✔ Image small Pulled                                                      0.0s`: boardOf().lines(80, 3),
		`[+] 1/2 (1 not shown)
 ⠿ Image reg.example/big:1 [=====               ] 10.7MB Pulling           1.5s`: boardOf().lines(80, 1),
	} {
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	for width := 30; width < 120; width++ {
		for _, l := range boardOf().lines(width, 22) {
			if utf8.RuneCountInString(l) >= width {
				t.Errorf("a line of %d columns wraps: %q", width, l)
			}
		}
	}
}

// TestBoardForgets what was under way once it is done.
func TestBoardForgets(t *testing.T) {
	b := boardOf()
	b.show(&scheduler.Event{Time: time.Unix(3, 0), Type: "image", Name: "reg.example/big:1", Progress: "Pulled"})
	if lines := b.lines(80, 22); len(lines) != 3 || slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "Downloading") }) {
		t.Errorf("%q", lines)
	}
}

package main

import (
	"fmt"
	"strings"

	"stack/runtime/image"
)

// layerLines are a line for each layer, at most so many: those at work first, then
// those that wait, in the image's order.
func layerLines(layers []image.Progress, width, most int) []string {
	rank := func(l image.Progress) int {
		switch {
		case l.Status == "Waiting":
			return 1
		case moving(l):
			return 0
		}
		return 2
	}
	left := max(0, most)
	chosen := make([]bool, len(layers))
	for want := range 3 {
		for i, l := range layers {
			if left > 0 && rank(l) == want {
				chosen[i] = true
				left--
			}
		}
	}
	var out []string
	for i, l := range layers {
		if chosen[i] {
			out = append(out, layerLine(l, width))
		}
	}
	return out
}

// moving says whether a layer's bytes are counted now.
func moving(l image.Progress) bool {
	return strings.HasSuffix(l.Status, "ing") && l.Status != "Waiting"
}

func layerLine(l image.Progress, width int) string {
	text := fmt.Sprintf("   %-12s %-20s", l.Layer, l.Status)
	if moving(l) && l.Total > 0 {
		text += fmt.Sprintf(" [%s] %9s / %s", gauge(l.Current, l.Total), size(uint64(l.Current)), size(uint64(l.Total)))
	}
	text = strings.TrimRight(text, " ")
	return text[:min(len(text), width-1)]
}

// gauge draws a part of a whole.
func gauge(have, total int64) string {
	const width = 20
	full := int(min(max(have, 0), total) * width / total)
	return strings.Repeat("=", full) + strings.Repeat(" ", width-full)
}

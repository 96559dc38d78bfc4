package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Names of the rows that ratios are made of.
const (
	stackRow = "stack"
	floorRow = "raw floor"
	plainRow = "plain unshare + execve"
)

// table collects samples by contender and number of replicas.
type table struct {
	replicas []int
	rows     []row
}

type row struct {
	name    string
	samples map[int][]sample
}

func (t *table) row(name string) *row {
	for i := range t.rows {
		if t.rows[i].name == name {
			return &t.rows[i]
		}
	}
	t.rows = append(t.rows, row{name: name, samples: map[int][]sample{}})
	return &t.rows[len(t.rows)-1]
}

func (t *table) add(name string, n int, s sample) {
	r := t.row(name)
	r.samples[n] = append(r.samples[n], s)
}

func (r *row) up(n int) []time.Duration {
	var out []time.Duration
	for _, s := range r.samples[n] {
		out = append(out, s.up)
	}
	return out
}

func (r *row) down(n int) []time.Duration {
	var out []time.Duration
	for _, s := range r.samples[n] {
		out = append(out, s.down)
	}
	return out
}

func (t *table) most() int { return slices.Max(t.replicas) }

func (t *table) print(w io.Writer) {
	t.printTimes(w)
	t.printRatios(w)
}

func (t *table) printTimes(w io.Writer) {
	fmt.Fprintf(w, "\n%-26s", "median, milliseconds")
	for _, n := range t.replicas {
		fmt.Fprintf(w, "  %9s %9s", fmt.Sprintf("up %d", n), fmt.Sprintf("down %d", n))
	}
	fmt.Fprintln(w)
	for i := range t.rows {
		t.rows[i].print(w, t.replicas)
	}
}

func (r *row) print(w io.Writer, replicas []int) {
	fmt.Fprintf(w, "%-26s", r.name)
	for _, n := range replicas {
		fmt.Fprintf(w, "  %9s %9s", cell(r.up(n)), cell(r.down(n)))
	}
	fmt.Fprintln(w)
}

func cell(all []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", ms(median(all)))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (t *table) printRatios(w io.Writer) {
	n := t.most()
	fmt.Fprintf(w, "\nper replica at %d: stack %.2f ms, floor %.2f ms\n", n,
		ms(median(t.row(stackRow).up(n)))/float64(n), ms(median(t.row(floorRow).up(n)))/float64(n))
	fmt.Fprintf(w, "stack / floor at %d: %.2f (wanted at most %.1f)   floor / plain: %.2f\n",
		n, t.overFloor(n), floorWanted, ratio(t.row(floorRow).up(n), t.row(plainRow).up(n)))
	for _, r := range t.rows {
		if strings.HasPrefix(r.name, "docker") && len(r.samples[n]) > 0 {
			fmt.Fprintf(w, "%s / stack at %d: up %.1f, down %.1f (wanted at least %.0f)\n", r.name, n,
				overMedian(r.up(n), t.row(stackRow).up(n)), overMedian(r.down(n), t.row(stackRow).down(n)), dockerWanted)
		}
	}
}

// overFloor is how many times the floor `up -d` takes.
func (t *table) overFloor(n int) float64 {
	return ratio(t.row(stackRow).up(n), t.row(floorRow).up(n))
}

// ratio is the median of the rounds' ratios: the two of a round ran next to each
// other, under the same load.
func ratio(a, b []time.Duration) float64 {
	var all []float64
	for i := range min(len(a), len(b)) {
		all = append(all, float64(a[i])/float64(b[i]))
	}
	return median(all)
}

func overMedian(a, b []time.Duration) float64 { return float64(median(a)) / float64(median(b)) }

// verdict fails where the floor cannot be true, and under check where stack is too
// far above it.
func (t *table) verdict(check bool) error {
	n := t.most()
	if r := ratio(t.row(floorRow).up(n), t.row(plainRow).up(n)); r < 1 {
		return fmt.Errorf("the floor of %d replicas takes %.2f times what unsharing and executing takes: it does not do its work", n, r)
	}
	if r := t.overFloor(n); check && r > floorAllowed {
		return fmt.Errorf("up of %d replicas takes %.2f times the floor: more than %.1f", n, r, floorAllowed)
	}
	return nil
}

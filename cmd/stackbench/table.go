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
	fmt.Fprintf(w, "\n%-24s", "milliseconds: best/median")
	for _, n := range t.replicas {
		fmt.Fprintf(w, " %15s %15s", fmt.Sprintf("up %d", n), fmt.Sprintf("down %d", n))
	}
	fmt.Fprintln(w)
	for i := range t.rows {
		t.rows[i].print(w, t.replicas)
	}
}

func (r *row) print(w io.Writer, replicas []int) {
	fmt.Fprintf(w, "%-25s", r.name)
	for _, n := range replicas {
		fmt.Fprintf(w, " %15s %15s", cell(r.up(n)), cell(r.down(n)))
	}
	fmt.Fprintln(w)
}

func cell(all []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	if len(all) == 1 {
		return fmt.Sprintf("%.1f", ms(all[0]))
	}
	return fmt.Sprintf("%.1f/%.1f", ms(slices.Min(all)), ms(median(all)))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (t *table) printRatios(w io.Writer) {
	n := t.most()
	stack, floor := t.row(stackRow), t.row(floorRow)
	fmt.Fprintf(w, "\na replica's share at %d, best: stack %.2f ms, floor %.2f ms, plain %.2f ms\n", n,
		ms(slices.Min(stack.up(n)))/float64(n), ms(slices.Min(floor.up(n)))/float64(n), ms(slices.Min(t.row(plainRow).up(n)))/float64(n))
	fmt.Fprintf(w, "stack / floor at %d: %.2f, the median of %d rounds' ratios (wanted at most %.1f); %.2f best over best\n",
		n, t.overFloor(n), len(stack.up(n)), floorWanted, over(slices.Min[[]time.Duration], stack.up(n), floor.up(n)))
	for _, r := range t.rows {
		if strings.HasPrefix(r.name, "docker") && len(r.samples[n]) > 0 {
			fmt.Fprintf(w, "%s / stack at %d: up %.1f, down %.1f, medians (wanted at least %.0f)\n", r.name, n,
				over(median[time.Duration], r.up(n), stack.up(n)), over(median[time.Duration], r.down(n), stack.down(n)), dockerWanted)
		}
	}
}

// overFloor is how many times the floor `up -d` takes.
func (t *table) overFloor(n int) float64 {
	return paired(t.row(stackRow).up(n), t.row(floorRow).up(n))
}

// paired is the median over rounds of a's time by b's in the same round, 0 before
// the first. What else runs on the machine for seconds slows both of a round and
// leaves its ratio; of best or median times each may come from another moment.
func paired(a, b []time.Duration) float64 {
	var ratios []float64
	for i := range min(len(a), len(b)) {
		ratios = append(ratios, float64(a[i])/float64(b[i]))
	}
	return median(ratios)
}

// settled reports whether every contender had so many rounds of n replicas.
func (t *table) settled(n, rounds int) bool {
	short := func(r row) bool { return len(r.samples[n]) < rounds }
	return len(t.rows) > 0 && !slices.ContainsFunc(t.rows, short)
}

// over compares two rows' samples by one statistic.
func over(of func([]time.Duration) time.Duration, a, b []time.Duration) float64 {
	return float64(of(a)) / float64(of(b))
}

// passes reports whether n replicas need no further round under check, after the
// least number of rounds: a ratio above what is allowed may be a disturbance, which
// further rounds outweigh, or the truth, which they confirm until they are used up.
func (t *table) passes(n, least int) bool {
	return t.settled(n, least) && (n < t.most() || t.overFloor(n) <= floorAllowed)
}

// verdict fails where the floor cannot be true, and under check where stack is too
// far above it.
func (t *table) verdict(check bool) error {
	n := t.most()
	if r := paired(t.row(floorRow).up(n), t.row(plainRow).up(n)); r < 1 {
		return fmt.Errorf("the floor of %d replicas takes %.2f times what unsharing and executing takes: %w", n, r, errNotDone)
	}
	if r := t.overFloor(n); check && r > floorAllowed {
		return fmt.Errorf("up of %d replicas takes %.2f times the floor: more than %.1f", n, r, floorAllowed)
	}
	return nil
}

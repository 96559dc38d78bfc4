package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// contender brings replicas up and takes them down.
type contender interface {
	name() string
	// round starts n replicas, checks that they run, and removes them. The times
	// are those of the two acts without the checks.
	round(ctx context.Context, n int) (sample, error)
}

// sample is one round of one contender.
type sample struct{ up, down time.Duration }

// suite runs the contenders one after the other, every second round backwards, so
// that a machine that grows slower or faster favours none.
type suite struct {
	rounds     int
	contenders []contender
	table      *table
	// enough, if set, ends the rounds of n replicas early.
	enough func(n int) bool
}

func (s suite) run(ctx context.Context, replicas []int) error {
	for _, n := range replicas {
		for round := range s.rounds {
			if s.enough != nil && s.enough(n) {
				break
			}
			if err := s.round(ctx, n, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// round is one round of all contenders.
func (s suite) round(ctx context.Context, n, round int) error {
	order := slices.Clone(s.contenders)
	if round%2 == 1 {
		slices.Reverse(order)
	}
	for _, c := range order {
		if err := s.one(ctx, c, n); err != nil {
			return err
		}
	}
	return nil
}

// profile runs one contender alone.
func (s suite) profile(ctx context.Context, name string, replicas []int) error {
	s.contenders = slices.DeleteFunc(s.contenders, func(c contender) bool { return c.name() != name })
	err := s.run(ctx, replicas)
	s.table.printTimes(os.Stdout)
	return err
}

func (s suite) one(ctx context.Context, c contender, n int) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot finish: %w", context.Cause(ctx))
	}
	if err := settle(ctx); err != nil {
		return err
	}
	got, err := c.round(ctx, n)
	if err != nil {
		return fmt.Errorf("%s with %d replicas: %w", c.name(), n, err)
	}
	s.table.add(c.name(), n, got)
	return nil
}

func median[T interface{ ~int64 | ~float64 }](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2]
}

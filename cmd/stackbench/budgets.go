package main

import (
	"context"
	"fmt"
	"time"
)

// The budgets of the design.
const (
	memoryBudget  = 40.0 // MB: shim and controller with 50 replicas
	replicaBudget = 0.5  // MB: each further replica
	startBudget   = 15 * time.Millisecond
	idleWatch     = 2 * time.Second
)

// budgets prints what is measured on a running stack, and the start-up of the
// command line.
func budgets(ctx context.Context, s *stack, dir string) error {
	one, err := s.watch(ctx, 1, nil)
	if err != nil {
		return err
	}
	many, err := s.watch(ctx, 50, func(root string) error { return s.printExec(ctx, root) })
	if err != nil {
		return err
	}
	fmt.Printf("\nmemory (PSS, MB)            1 replica  50 replicas\n")
	fmt.Printf("  shim                      %9.1f  %11.1f\n", one.shim.pss, many.shim.pss)
	fmt.Printf("  controller                %9.1f  %11.1f\n", one.controller.pss, many.controller.pss)
	fmt.Printf("  both                      %9.1f  %11.1f  (budget %.0f)\n", one.pss(), many.pss(), memoryBudget)
	fmt.Printf("  each further replica      %9s  %11.2f  (budget %.1f)\n", "", (many.pss()-one.pss())/49, replicaBudget)
	fmt.Printf("idle for %v with 50: ticks shim %d, controller %d (wanted 0); %v of processor time, %d wake-ups\n", idleWatch,
		many.shim.ticks, many.controller.ticks, many.shim.cpu+many.controller.cpu, many.shim.switches+many.controller.switches)
	return startUp(ctx, s, dir)
}

// watched is what shim and controller of a stack at rest take.
type watched struct{ shim, controller usage }

func (w watched) pss() float64 { return w.shim.pss + w.controller.pss }

// watch brings n replicas up, looks at the stack at rest, and takes it down.
func (s *stack) watch(ctx context.Context, n int, also func(root string) error) (w watched, err error) {
	root, err := s.prepare(ctx, n)
	if err != nil {
		return w, err
	}
	defer s.discard(root)
	if _, err = s.up(ctx, root, n); err == nil {
		w, err = rest(ctx, root)
	}
	if err == nil && also != nil {
		err = also(root)
	}
	if err != nil {
		return w, s.giveUp(root, err)
	}
	_, err = s.timed(ctx, root, "down")
	return w, err
}

// rest waits until the stack has calmed down, watches it for idleWatch, then weighs it.
func rest(ctx context.Context, root string) (w watched, err error) {
	shim, controller, err := background(root)
	if err != nil {
		return w, err
	}
	if err := pause(ctx, time.Second); err != nil {
		return w, err
	}
	before := watched{measure(shim), measure(controller)}
	if err := pause(ctx, idleWatch); err != nil {
		return w, err
	}
	after := watched{measure(shim), measure(controller)}
	return watched{after.shim.since(before.shim), after.controller.since(before.controller)}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

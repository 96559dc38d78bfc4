package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const startRounds = 50

const helloProgram = `package main

import "os"

func main() { os.Stdout.WriteString("hello\n") }
`

// startUp prints what starting the command line costs, beside the least that a
// static Go program costs.
func startUp(ctx context.Context, s *stack, dir string) error {
	lines := []struct {
		title string
		args  []string
		fails bool
	}{
		{title: "stack version", args: []string{s.bin, "version"}},
		{title: "stack-shim (usage)", args: []string{filepath.Join(filepath.Dir(s.bin), "stack-shim")}, fails: true},
	}
	fmt.Printf("\nstart-up, median of %d (budget of stack %v)\n", startRounds, startBudget)
	for _, l := range lines {
		took, err := repeat(ctx, l.fails, l.args...)
		if err != nil {
			return err
		}
		fmt.Printf("  %-26s %6.1f ms\n", l.title, ms(took))
	}
	return helloStart(ctx, dir)
}

func helloStart(ctx context.Context, dir string) error {
	const title = "static hello world in Go"
	bin, err := buildHello(ctx, dir)
	if err != nil {
		fmt.Printf("  %-26s not measured: %v\n", title, err)
		return nil
	}
	took, err := repeat(ctx, false, bin)
	if err != nil {
		return err
	}
	fmt.Printf("  %-26s %6.1f ms\n", title, ms(took))
	return nil
}

func buildHello(ctx context.Context, dir string) (string, error) {
	src, bin := filepath.Join(dir, "hello.go"), filepath.Join(dir, "hello")
	if err := os.WriteFile(src, []byte(helloProgram), 0o600); err != nil {
		return "", err
	}
	cmd := command(ctx, "go", "build", "-ldflags", "-s -w", "-o", bin, src)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	_, err := timed(cmd)
	return bin, err
}

// repeat is the median time of a program from start to exit.
func repeat(ctx context.Context, fails bool, args ...string) (time.Duration, error) {
	var all []time.Duration
	for range startRounds {
		took, err := timed(command(ctx, args[0], args[1:]...))
		var exit *exec.ExitError
		if err != nil && (!fails || !errors.As(err, &exit)) {
			return 0, err
		}
		all = append(all, took)
	}
	return median(all), nil
}

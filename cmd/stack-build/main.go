// Command stack-build makes images for stack: see package build. It is not for people.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"

	"stack/runtime/build"
	"stack/runtime/build/solve"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) < 2 {
		return errors.New("this program is run by stack")
	}
	switch os.Args[1] {
	case "run":
		return runJob()
	case "serve":
		return serve()
	}
	return fmt.Errorf("unknown verb %q", os.Args[1])
}

// runJob does the job on standard input and tells results on descriptor 3.
func runJob() error {
	logrus.SetOutput(io.Discard) // what libraries say is in errors too
	var job build.Job
	if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil {
		return fmt.Errorf("cannot read job: %w", err)
	}
	results := os.NewFile(3, "results")
	syscall.CloseOnExec(3)
	encode := json.NewEncoder(results)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return solve.Run(ctx, job, os.Stdout, func(r build.Result) { encode.Encode(r) })
}

// logger is the server's. BuildKit warns of what is nobody's concern, as at the end of
// each build that it is not traced, so of libraries only errors are told.
func logger() *slog.Logger {
	level := slog.LevelInfo
	logrus.SetLevel(logrus.ErrorLevel)
	if os.Getenv("STACK_DEBUG") != "" {
		level = slog.LevelDebug
		logrus.SetLevel(logrus.DebugLevel)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

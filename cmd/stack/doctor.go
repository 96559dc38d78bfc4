package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"stack/netns"
	"stack/runtime/native"
)

func newDoctor(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what of this machine keeps stacks from running well",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDoctor(cmd.Context(), a, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// finding is one thing that doctor looked at.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warn, fail
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

const (
	statusOK   = "ok"
	statusWarn = "warn"
	statusFail = "fail"
)

func runDoctor(_ context.Context, a *app, format string) error {
	if err := oneOf("format", format, "text", "json"); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	state := nearest(a.layout.Lib)
	list := judge(evidence{
		uid: os.Geteuid(), args: os.Args, state: state, shim: shimBeside(exe),
		native: native.Probe(state, state, "/"), network: netns.Probe(),
	})
	if format == "json" {
		err = printArray(a.stdout, list)
	} else {
		err = printFindings(a, list)
	}
	if err != nil {
		return err
	}
	for _, f := range list {
		if f.Status == statusFail {
			return exitError(1)
		}
	}
	return nil
}

// nearest is dir, or the nearest directory above it that exists.
func nearest(dir string) string {
	for dir != "/" {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func shimBeside(exe string) error {
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	path := filepath.Join(filepath.Dir(exe), "stack-shim")
	st, err := os.Stat(path)
	if err == nil && st.Mode()&0o111 == 0 {
		err = fmt.Errorf("%s is not executable", path)
	}
	return err
}

func printFindings(a *app, list []finding) error {
	width := 0
	for _, f := range list {
		width = max(width, len(f.Check))
	}
	color := a.colors(a.stdout)
	code := map[string]string{statusOK: green, statusWarn: yellow, statusFail: red}
	for _, f := range list {
		if _, err := fmt.Fprintf(a.stdout, "%s  %-*s  %s\n", paint(color, code[f.Status], fmt.Sprintf("%-4s", f.Status)), width, f.Check, plain(f.Detail)); err != nil {
			return err
		}
		if f.Hint != "" {
			fmt.Fprintf(a.stdout, "      %-*s  %s\n", width, "", f.Hint)
		}
	}
	return nil
}

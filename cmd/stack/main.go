// Command stack runs multi-container applications from a stack file.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stack/spec"
)

// version is set at link time.
var version = "unknown"

func main() {
	if len(os.Args) > 1 && os.Args[1] == ociVerb {
		os.Exit(execOCI(os.Args)) // does not come back if all is well
	}
	debug.SetGCPercent(shortLived)
	logrus.SetOutput(io.Discard) // compose-go's; what it has to say spec says better
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, newApp(), os.Args[1:])
	stop()
	os.Exit(code)
}

// Percentages for debug.SetGCPercent. A command's heap may grow to 16 MB before
// anything is collected: most are over before, and collecting the 4 MB of a start
// took a fifth of their time. The controller goes back to Go's default.
const (
	shortLived = 400
	longLived  = 100
)

// run executes one command line and returns its exit code.
func run(ctx context.Context, a *app, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return a.report(ctx, err)
}

// exitError carries a program's exit code to the caller without a message.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// report prints what went wrong and gives the exit code: the program's own, 130
// after Ctrl-C, else 1.
func (a *app) report(ctx context.Context, err error) int {
	var code exitError
	var found spec.Diagnostics
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case a.progress == "json":
		json.NewEncoder(a.stderr).Encode(failureLine{true, err.Error()})
	case errors.As(err, &found):
		found.Render(a.stderr, a.colors(a.stderr))
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return 130
	default:
		fmt.Fprintf(a.stderr, "stack: %s\n", plainLines(err.Error())) // a registry's or a program's words may be in it
		if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
			fmt.Fprintf(a.stderr, "  root may: %s\n", withSudo(os.Args))
		}
	}
	return 1
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "stack",
		Short:         "Run multi-container applications from a stack file",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.Version = version // --version, -v
	root.SetVersionTemplate("stack version {{.Version}}\n")
	root.PersistentPreRunE = func(verb *cobra.Command, _ []string) error { return a.checkGlobals(verb) }
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.TraverseChildren = true // global flags may stand before the verb
	a.globalFlags(root.Flags())
	root.AddCommand(verbs(a)...)
	for _, verb := range root.Commands() {
		a.inherit(verb)
	}
	explainUsage(root)
	return root
}

// inherit lets global flags also stand after the verb, but for those whose name
// or letter the verb uses itself (logs -f follows).
func (a *app) inherit(verb *cobra.Command) {
	own := verb.Flags()
	global := pflag.NewFlagSet("", pflag.ContinueOnError)
	a.globalFlags(global)
	global.VisitAll(func(f *pflag.Flag) {
		if own.Lookup(f.Name) != nil {
			return
		}
		if f.Shorthand != "" && own.ShorthandLookup(f.Shorthand) != nil {
			f.Shorthand = ""
		}
		f.Hidden = f.Hidden || f.Name != "file" && !(f.Name == "dry-run" && canForetell(verb))
		own.AddFlag(f)
	})
	for _, sub := range verb.Commands() {
		a.inherit(sub)
	}
}

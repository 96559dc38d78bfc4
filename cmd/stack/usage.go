package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stack/spec"
)

// explainUsage has a command and those below it say what was meant by a wrong verb,
// flag or number of arguments, and where to read on.
func explainUsage(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(flagError)
	cmd.DisableFlagsInUseLine = strings.Contains(cmd.Use, "[OPTIONS]")
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 && cmd.HasSubCommands() {
			return unknownVerb(cmd, args[0])
		}
		if check == nil || check(cmd, args) == nil {
			return nil
		}
		return seeHelp(cmd, wrongNumber(cmd, check, args)+": want "+cmd.UseLine())
	}
	if cmd.HasSubCommands() && !cmd.Runnable() { // or cobra would take a wrong verb for a wish for help
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	for _, below := range cmd.Commands() {
		explainUsage(below)
	}
}

// wrongNumber tells whether more arguments than args would do.
func wrongNumber(cmd *cobra.Command, check cobra.PositionalArgs, args []string) string {
	for more := slices.Clone(args); len(more) < len(args)+3; {
		if more = append(more, "x"); check(cmd, more) == nil {
			return "too few arguments"
		}
	}
	return "too many arguments"
}

func unknownVerb(cmd *cobra.Command, verb string) error {
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	return seeHelp(cmd, withHint(fmt.Sprintf("unknown command %q for %q", verb, cmd.CommandPath()), spec.DidYouMean(verb, known)))
}

// flagError adds the nearest flag to pflag's words, and takes Go's own out of them.
func flagError(cmd *cobra.Command, err error) error {
	text := regexp.MustCompile(`: strconv\.\w+: parsing ".*"`).ReplaceAllString(err.Error(), "")
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return seeHelp(cmd, text)
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	hint := spec.DidYouMean(unknown.GetSpecifiedName(), known)
	return seeHelp(cmd, withHint(text, strings.Replace(hint, `"`, `"--`, 1)))
}

func withHint(text, hint string) string {
	if hint == "" {
		return text
	}
	return text + "; " + hint
}

func seeHelp(cmd *cobra.Command, text string) error {
	return fmt.Errorf("%s\n%s", text, fmt.Sprintf("See '%s --help'.", cmd.CommandPath()))
}

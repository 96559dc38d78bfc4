package main

import (
	"context"
	"errors"

	"stack/spec"
)

// runConfigCheck prints nothing for a good file. What it finds goes to stderr for
// people, or with --format as one document to stdout for programs.
func runConfigCheck(ctx context.Context, a *app, o *configOptions, services []string) error {
	if o.format != "" {
		if err := oneOf("format", o.format, "json", "sarif"); err != nil {
			return err
		}
	}
	so := o.specOptions(a)
	so.Services = services
	found, err := spec.Check(ctx, so)
	if err != nil && !errors.As(err, &found) {
		return err
	}
	if err := o.writeFindings(a, found); err != nil {
		return err
	}
	if found.Failed() {
		return exitError(1)
	}
	return nil
}

func (o *configOptions) writeFindings(a *app, found spec.Diagnostics) error {
	var text []byte
	var err error
	switch o.format {
	case "":
		return found.Render(a.stderr, a.colors(a.stderr))
	case "sarif":
		text, err = found.SARIF(version)
	default:
		text, err = found.JSON()
	}
	if err != nil {
		return err
	}
	return o.deliver(a, append(text, '\n'))
}

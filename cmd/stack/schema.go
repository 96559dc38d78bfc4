package main

import (
	"github.com/spf13/cobra"

	"stack/spec"
)

func newSchema(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Show the JSON schema of stack files, for editors",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := spec.Schema()
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(append(text, '\n'))
			return err
		},
	}
}

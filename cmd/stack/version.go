package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func newVersion(a *app) *cobra.Command {
	var short bool
	var format string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("format", format, "pretty", "json"); err != nil {
				return err
			}
			switch {
			case short:
				fmt.Fprintln(a.stdout, version)
			case format == "json":
				return json.NewEncoder(a.stdout).Encode(map[string]string{"version": version})
			default:
				fmt.Fprintf(a.stdout, "stack version %s\n", version)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&short, "short", false, "only the number")
	cmd.Flags().StringVarP(&format, "format", "f", "pretty", "pretty or json")
	return cmd
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"

	"stack/spec"
)

func writeLines(w io.Writer, lines []string) error {
	for _, l := range slices.Sorted(slices.Values(lines)) {
		if _, err := fmt.Fprintln(w, l); err != nil {
			return err
		}
	}
	return nil
}

// writeHashes prints the hash of each service that list names, or of all for "*":
// what stands in the label com.docker.compose.config-hash.
func writeHashes(w io.Writer, st *spec.Stack, list string) error {
	names := st.ServiceNames()
	if list != "*" {
		names = strings.Split(list, ",")
	}
	slices.Sort(names)
	for _, name := range names {
		hash, err := st.Hash(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s %s\n", name, hash)
	}
	return nil
}

func writeEnvironment(w io.Writer, st *spec.Stack) error {
	var lines []string
	for k, v := range st.Environment {
		lines = append(lines, k+"="+v)
	}
	return writeLines(w, lines)
}

// writeProfiles prints those of all services, enabled or not.
func writeProfiles(w io.Writer, st *spec.Stack) error {
	seen := map[string]bool{}
	for _, s := range st.AllServices() {
		for _, p := range s.Profiles {
			seen[p] = true
		}
	}
	return writeLines(w, slices.Collect(maps.Keys(seen)))
}

func writeImages(w io.Writer, st *spec.Stack) error {
	var lines []string
	for _, s := range st.Services {
		lines = append(lines, cmp.Or(s.Image, st.Name+"-"+s.Name))
	}
	for _, j := range st.Jobs {
		lines = append(lines, cmp.Or(j.Image, st.Name+"-"+j.Name))
	}
	return writeLines(w, lines)
}

// writeModels prints what the models are, as Docker Compose does, not their names.
func writeModels(w io.Writer, st *spec.Stack) error {
	var lines []string
	for _, m := range st.Models {
		lines = append(lines, m.Model)
	}
	return writeLines(w, lines)
}

// variableRow is a variable of the file, with Docker Compose's keys.
type variableRow struct {
	Name          string
	DefaultValue  string
	PresenceValue string
	Required      bool
}

func (o *configOptions) writeVariables(ctx context.Context, a *app, w io.Writer, so spec.Options) error {
	so.NoInterpolate = true
	model, warnings, err := spec.Model(ctx, so)
	if err != nil {
		return err
	}
	warnings.Render(a.stderr, a.colors(a.stderr))
	found := template.ExtractVariables(model, template.DefaultPattern)
	rows := []variableRow{}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		v := found[name]
		rows = append(rows, variableRow{v.Name, v.DefaultValue, v.PresenceValue, v.Required})
	}
	if o.format == "json" {
		return printArray(w, rows)
	}
	return printRows(w, "", rows, column{"NAME", "Name"}, column{"REQUIRED", "Required"},
		column{"DEFAULT VALUE", "DefaultValue"}, column{"ALTERNATE VALUE", "PresenceValue"})
}

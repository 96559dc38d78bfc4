package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// writeModel prints the merged file with its variables.
func (o *configOptions) writeModel(ctx context.Context, a *app, w io.Writer, so spec.Options) error {
	model, warnings, err := spec.Model(ctx, so)
	if err != nil {
		return err
	}
	warnings.Render(a.stderr, a.colors(a.stderr))
	withoutContents(model)
	delete(model, "version") // it means nothing
	if o.lists() {
		return o.writeNames(w, model)
	}
	text, err := json.Marshal(model)
	if err != nil {
		return fmt.Errorf("cannot write configuration: %w", err)
	}
	doc, err := nodeOf(text)
	if err != nil {
		return fmt.Errorf("cannot write configuration: %w", err)
	}
	return o.print(w, doc)
}

// withoutContents removes what compose-go read from the environment for secrets
// and configs: it must not be printed.
func withoutContents(model map[string]any) {
	for _, kind := range []string{"secrets", "configs"} {
		all, _ := model[kind].(map[string]any)
		for _, v := range all {
			object, _ := v.(map[string]any)
			delete(object, types.SecretConfigXValue)
			if _, ok := object["environment"]; ok {
				delete(object, "content")
			}
		}
	}
}

// lists reports whether only names are asked for.
func (o *configOptions) lists() bool {
	return o.services || o.volumes || o.networks || o.models || o.profiles || o.images
}

// writeNames prints what the flags ask for of an uninterpolated model.
func (o *configOptions) writeNames(w io.Writer, model map[string]any) error {
	section := func(name string) map[string]any { m, _ := model[name].(map[string]any); return m }
	switch {
	case o.services:
		return writeLines(w, slices.Collect(maps.Keys(section("services"))))
	case o.volumes:
		return writeLines(w, slices.Collect(maps.Keys(section("volumes"))))
	case o.networks:
		return writeLines(w, slices.Collect(maps.Keys(section("networks"))))
	case o.models:
		return writeLines(w, slices.Collect(maps.Keys(section("models"))))
	}
	var out []string
	for _, v := range section("services") {
		service, _ := v.(map[string]any)
		if image, ok := service["image"].(string); ok && o.images {
			out = append(out, image)
		}
		profiles, _ := service["profiles"].([]any)
		for _, p := range profiles {
			if name, ok := p.(string); ok && o.profiles {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return writeLines(w, slices.Compact(out))
}

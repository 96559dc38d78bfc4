package scheduler

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"stack/runtime/build"
)

// attestation reads a build's provenance or sbom: a boolean, or parameters as buildx
// takes them (mode=max, generator=IMAGE), which BuildKit checks. It is "" for none.
func attestation(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	if on, err := strconv.ParseBool(value); err == nil {
		value = "disabled=" + strconv.FormatBool(!on)
	}
	fields := strings.Split(value, ",")
	for _, f := range fields {
		name, text, ok := strings.Cut(f, "=")
		if !ok || name == "" {
			return "", fmt.Errorf("cannot read %q: want true, false or NAME=VALUE", f)
		}
		if name != "disabled" {
			continue
		}
		off, err := strconv.ParseBool(text)
		if err != nil {
			return "", fmt.Errorf("cannot read %q: want true or false", f)
		}
		if off {
			return "", nil
		}
	}
	fields = slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, "disabled=") })
	if len(fields) == 0 {
		return build.DefaultAttestation, nil
	}
	return strings.Join(fields, ","), nil
}

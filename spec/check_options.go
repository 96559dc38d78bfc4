package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checkOptions: options of drivers are those that are known. What a bridge does
// not understand would change what a stack means; a logging option does not.
func checkOptions(m *model, r *report) {
	m.root.get("networks").each(func(_ string, v *value) {
		if v.get("external").truth() {
			return
		}
		knownOptions(r, v.get("driver_opts"),
			"com.docker.network.bridge.name", "com.docker.network.bridge.enable_icc",
			"com.docker.network.bridge.enable_ip_masquerade", "com.docker.network.driver.mtu")
	})
	for _, s := range m.used() {
		s.v.get("networks").each(func(_ string, v *value) {
			knownOptions(r, v.get("driver_opts"), "com.docker.network.endpoint.sysctls")
		})
		checkLogging(r, s.v.get("logging"))
	}
	for _, s := range m.enabled() {
		checkStorage(r, s.v.get("storage_opt"))
	}
}

func knownOptions(r *report, options *value, known ...string) {
	options.each(func(name string, v *value) {
		if slices.Contains(known, name) {
			return
		}
		hint := DidYouMean(name, known)
		if hint == "" {
			hint = "known are " + strings.Join(known, ", ")
		}
		r.add(v.named(), "unsupported", fmt.Sprintf("driver option %q is not supported", name), hint)
	})
}

// checkStorage: the writable layer has a size and nothing else.
func checkStorage(r *report, options *value) {
	knownOptions(r, options, "size")
	options.each(func(name string, v *value) {
		switch v.data.(type) {
		case string, int, nil:
			if v.kind != scalar {
				break
			}
			if name == "size" {
				checkSize(r, v, name)
			}
			return
		}
		r.add(v.at, "type", fmt.Sprintf("%s must be a string, not %s", name, v.describe()), "")
	})
}

// checkLogging: output goes to rotated files, or nowhere.
func checkLogging(r *report, v *value) {
	driver := v.get("driver")
	switch driver.text() {
	case "", "json-file", "local":
	case "none":
		return
	default:
		r.warn(driver.at, "ignored-key", fmt.Sprintf("logging driver %q has no effect: output is kept in files, for stack logs", driver.text()), "")
		return
	}
	v.get("options").each(func(name string, o *value) {
		switch name {
		case "max-size":
			if o.text() != "-1" {
				checkSize(r, o, name)
			}
		case "max-file":
			if n, err := strconv.Atoi(o.text()); err != nil || n < 1 {
				r.add(o.at, "number", fmt.Sprintf("max-file cannot be %q: it is no number above 0", o.text()), "")
			}
		default:
			r.warn(o.named(), "ignored-key", fmt.Sprintf("logging option %q has no effect: max-size and max-file are known", name), "")
		}
	})
}

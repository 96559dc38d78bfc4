package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxConfig bounds config.json: what is larger is no configuration.
const maxConfig = 16 << 20

// loadBundle reads and checks DIR/config.json. The root file system's path comes
// back absolute. Properties that nobody knows are ignored, as the specification
// demands.
func loadBundle(dir string) (*specs.Spec, error) {
	name := filepath.Join(dir, "config.json")
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the bundle: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxConfig {
		return nil, fmt.Errorf("cannot read the bundle: %s is not a file of at most %d bytes", name, maxConfig)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the bundle: %w", err)
	}
	spec, err := parseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", name, err)
	}
	if !filepath.IsAbs(spec.Root.Path) {
		spec.Root.Path = filepath.Join(dir, spec.Root.Path)
	}
	return spec, checkRoot(spec.Root.Path)
}

func checkRoot(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("cannot use the root file system: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("cannot use the root file system: %s is not a directory", path)
	}
	return nil
}

// parseConfig decodes a configuration and names everything that is wrong with it.
func parseConfig(text []byte) (*specs.Spec, error) {
	var spec specs.Spec
	if err := decode(text, &spec); err != nil {
		if plain := json.Unmarshal(text, new(specs.Spec)); plain != nil { // it knows the place
			err = explainJSON(text, plain)
		}
		return nil, err
	}
	if err := checkConfig(&spec); err != nil {
		return nil, err
	}
	return &spec, nil
}

// explainJSON adds the line to a decoder's error.
func explainJSON(text []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	at := int64(-1)
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &kind):
		at = kind.Offset
	}
	if at < 0 || at > int64(len(text)) {
		return err
	}
	return fmt.Errorf("line %d: %w", 1+strings.Count(string(text[:at]), "\n"), err)
}

func checkConfig(s *specs.Spec) error {
	var all []error
	complain := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if err := checkVersion(s.Version); err != nil {
		all = append(all, err)
	}
	if s.Root == nil || s.Root.Path == "" {
		complain("root.path: is required")
	}
	if s.Process == nil {
		complain("process: is required")
	}
	for i, m := range s.Mounts {
		if !filepath.IsAbs(m.Destination) {
			complain("mounts[%d].destination: %q is not an absolute path", i, m.Destination)
		}
	}
	if s.Linux == nil {
		complain("linux: is required")
	} else {
		all = append(all, checkLinux(s.Linux)...)
	}
	for key := range s.Annotations {
		if key == "" {
			complain("annotations: a key is empty")
		}
	}
	if s.Solaris != nil || s.Windows != nil || s.VM != nil || s.ZOS != nil || s.FreeBSD != nil {
		complain("the configuration is for another platform than linux")
	}
	return errors.Join(all...)
}

func checkLinux(l *specs.Linux) (all []error) {
	for _, list := range []struct {
		name  string
		paths []string
	}{{"maskedPaths", l.MaskedPaths}, {"readonlyPaths", l.ReadonlyPaths}} {
		for i, p := range list.paths {
			if !filepath.IsAbs(p) {
				all = append(all, fmt.Errorf("linux.%s[%d]: %q is not an absolute path", list.name, i, p))
			}
		}
	}
	for i, d := range l.Devices {
		if !filepath.IsAbs(d.Path) {
			all = append(all, fmt.Errorf("linux.devices[%d].path: %q is not an absolute path", i, d.Path))
		}
	}
	for i, n := range l.Namespaces {
		if n.Path != "" && !filepath.IsAbs(n.Path) {
			all = append(all, fmt.Errorf("linux.namespaces[%d].path: %q is not an absolute path", i, n.Path))
		}
	}
	if strings.Count(l.CgroupsPath, ":") == 2 {
		all = append(all, fmt.Errorf("linux.cgroupsPath: %q is for systemd: only paths are supported", l.CgroupsPath))
	}
	return all
}

// checkVersion accepts every version that this one is compatible with.
func checkVersion(v string) error {
	core, _, _ := strings.Cut(v, "+")
	core, _, _ = strings.Cut(core, "-")
	parts := strings.Split(core, ".")
	ok := len(parts) == 3
	for _, part := range parts {
		_, err := strconv.ParseUint(part, 10, 32)
		ok = ok && err == nil
	}
	switch {
	case v == "":
		return errors.New("ociVersion: is required")
	case !ok:
		return fmt.Errorf("ociVersion: %q is not a semantic version", v)
	case parts[0] != "1":
		return fmt.Errorf("ociVersion: %q is not supported: this runtime knows %s", v, specs.Version)
	}
	return nil
}

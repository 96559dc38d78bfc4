package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/mattn/go-shellwords"

	"stack/spec"
)

// read completes the options from flags and stack.
func (o *runOptions) read(a *app, st *spec.Stack, service string, args []string) (err error) {
	_, ok := st.Services[service]
	if !ok {
		return st.NoService(service)
	}
	r := &o.run
	r.Command = args
	r.Attach = !o.detach
	if !o.detach {
		r.Stdin = o.interactive
		if r.TTY, err = o.wanted(a); err != nil {
			return err
		}
	}
	if o.hasEntry {
		if r.Entrypoint, err = shellwords.Parse(o.entrypoint); err != nil {
			return fmt.Errorf("cannot read --entrypoint %q: %w", o.entrypoint, err)
		}
		if r.Entrypoint == nil {
			r.Entrypoint = []string{}
		}
	}
	if r.Env, err = runEnv(o.env, o.envFiles, st.Environment); err != nil {
		return err
	}
	if r.Labels, err = runLabels(o.labels); err != nil {
		return err
	}
	if r.Publish, err = runPorts(o.publish); err != nil {
		return err
	}
	r.Volumes, err = runVolumes(o.volumes, st)
	return err
}

// runEnv is what run lays over the service's environment: the files in order, then
// the flags. A flag without a value has that of known (shell, then --env-file or
// .env), else whatever the container would have had.
func runEnv(flags, files []string, known types.Mapping) (map[string]*string, error) {
	env := map[string]*string{}
	for _, file := range files {
		vars, err := readEnvFile(file, known)
		if err != nil {
			return nil, fmt.Errorf("cannot read --env-from-file %s: %w", file, err)
		}
		for k, v := range vars {
			env[k] = &v
		}
	}
	for _, flag := range flags {
		k, v, set := strings.Cut(flag, "=")
		if k == "" {
			return nil, fmt.Errorf("cannot read --env %q: want KEY=VALUE or KEY", flag)
		}
		if !set {
			if v, set = known[k]; !set {
				continue
			}
		}
		env[k] = &v
	}
	return env, nil
}

func readEnvFile(file string, known types.Mapping) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	return dotenv.ParseWithLookup(f, known.Resolve)
}

func runLabels(flags []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, flag := range flags {
		k, v, _ := strings.Cut(flag, "=")
		if k == "" {
			return nil, fmt.Errorf("cannot read --label %q: want KEY=VALUE", flag)
		}
		labels[k] = v
	}
	return labels, nil
}

func runPorts(flags []string) ([]types.ServicePortConfig, error) {
	var out []types.ServicePortConfig
	for _, flag := range flags {
		ports, err := types.ParsePortConfig(flag)
		if err != nil {
			return nil, fmt.Errorf("cannot read --publish %q: %w", flag, err)
		}
		out = append(out, ports...)
	}
	return out, nil
}

// runVolumes reads mounts; a relative source starts from here, as in `docker run`.
// A named volume must be one of the file's.
func runVolumes(flags []string, st *spec.Stack) ([]types.ServiceVolumeConfig, error) {
	var out []types.ServiceVolumeConfig
	for _, flag := range flags {
		v, err := format.ParseVolume(flag)
		if err == nil && !filepath.IsAbs(v.Target) {
			err = fmt.Errorf("%q is not an absolute path", v.Target)
		}
		if err == nil && v.Type == types.VolumeTypeBind {
			v.Source, err = filepath.Abs(expandHome(v.Source))
		}
		if _, declared := st.Volumes[v.Source]; err == nil && v.Type == types.VolumeTypeVolume && v.Source != "" && !declared {
			err = fmt.Errorf("the file declares no volume %q", v.Source)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read --volume %q: %w", flag, err)
		}
		out = append(out, v)
	}
	return out, nil
}

func expandHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}

package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/compose-spec/compose-go/v2/types"
)

// maxProfile bounds a seccomp profile; Docker's own has 13 KB.
const maxProfile = 1 << 20

// inlineProfiles puts the content of the files that security_opt names for seccomp in
// the place of their names: it is part of the configuration from then on. No later start
// reads the file, which a container may be able to write.
func inlineProfiles(p *types.Project, seen func(path string)) {
	inline := func(c *types.ContainerSpec) {
		for n, opt := range c.SecurityOpt {
			file := profileFile(opt)
			if file == "" {
				continue
			}
			file = Absolute(p.WorkingDir, file)
			seen(file)
			if text, err := readProfile(file); err == nil { // else preflight tells why
				c.SecurityOpt = slices.Clone(c.SecurityOpt)
				c.SecurityOpt[n] = "seccomp=" + text
			}
		}
	}
	for _, services := range []types.Services{p.Services, p.DisabledServices} {
		for name, s := range services {
			inline(&s.ContainerSpec)
			s.PreStart = slices.Clone(s.PreStart)
			for n := range s.PreStart {
				inline(&s.PreStart[n].ContainerSpec)
			}
			services[name] = s
		}
	}
	for _, jobs := range []types.Jobs{p.Jobs, p.DisabledJobs} {
		for name, j := range jobs {
			inline(&j.ContainerSpec)
			jobs[name] = j
		}
	}
}

// profileFile is the file that an entry of security_opt names, empty if none.
func profileFile(opt string) string {
	key, value, _ := strings.Cut(opt, "=")
	if !strings.Contains(opt, "=") {
		key, value, _ = strings.Cut(opt, ":")
	}
	if key != "seccomp" || value == "builtin" || value == "unconfined" || InlineProfile(value) {
		return ""
	}
	return value
}

// InlineProfile reports whether the value of security_opt's seccomp is a profile
// itself, as a load leaves it, not the name of a file.
func InlineProfile(value string) bool { return strings.HasPrefix(value, "{") }

// readProfile gives a file's JSON on one line.
func readProfile(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would hold us up
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(fmt.Errorf("%s is not a regular file", path), err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxProfile+1))
	if err == nil && len(text) > maxProfile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxProfile)
	}
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		return "", err
	}
	if !InlineProfile(out.String()) {
		return "", fmt.Errorf("%s holds no profile", path)
	}
	return out.String(), nil
}

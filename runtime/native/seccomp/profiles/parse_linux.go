package profiles

import (
	"fmt"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Parse reads a profile in Docker's JSON format, as it applies to a container
// whose bounding set holds caps.
func Parse(profile []byte, caps []string) (*specs.LinuxSeccomp, error) {
	s, err := seccomp.LoadProfile(string(profile), &specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}},
	})
	if err != nil {
		return nil, fmt.Errorf("not a profile in Docker's format: %w", err)
	}
	return s, nil
}

package native

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/moby/sys/userns"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// limit is one resource limit of a process.
type limit struct {
	resource  int
	soft, max uint64
	// raised is the limit to set first, with the host's privileges, when the hard
	// one is above the creator's; nil when it is not.
	raised *unix.Rlimit
}

// newLimits reads the specification's limits. A hard limit that may not be
// raised stays at what is allowed, with a warning.
func newLimits(list []specs.POSIXRlimit) ([]limit, []string, error) {
	var limits []limit
	var warnings []string
	seen := map[int]bool{}
	for _, one := range list {
		resource, ok := resourceOf(one.Type)
		if !ok || seen[resource] {
			return nil, nil, fmt.Errorf("unknown or repeated rlimit %q", one.Type)
		}
		seen[resource] = true
		if one.Soft > one.Hard {
			return nil, nil, fmt.Errorf("soft limit of %s is above its hard limit", one.Type)
		}
		l, warning, err := newLimit(resource, one)
		if err != nil {
			return nil, nil, err
		}
		if warning != "" {
			warnings = append(warnings, warning)
		}
		limits = append(limits, l)
	}
	return limits, warnings, nil
}

func newLimit(resource int, want specs.POSIXRlimit) (limit, string, error) {
	own, highest, err := ownLimit(resource, want.Type)
	if err != nil {
		return limit{}, "", err
	}
	l := limit{resource: resource, soft: min(want.Soft, highest.max), max: min(want.Hard, highest.max)}
	if l.max > own.Max {
		l.raised = &unix.Rlimit{Cur: own.Cur, Max: l.max}
	}
	warning := highest.refusal(want)
	if warning != "" {
		warning += " and stays at " + showLimit(highest.max)
	}
	return l, warning, nil
}

// RefusedLimit says why a process of ours cannot have a hard limit, empty if it can.
func RefusedLimit(want specs.POSIXRlimit) (string, error) {
	resource, ok := resourceOf(want.Type)
	if !ok {
		return "", fmt.Errorf("unknown rlimit %q", want.Type)
	}
	_, highest, err := ownLimit(resource, want.Type)
	if err != nil {
		return "", err
	}
	return highest.refusal(want), nil
}

// ceiling is how high this process may set a hard limit, and what it would take to
// set a higher one.
type ceiling struct {
	max  uint64
	lack string
}

func (c ceiling) refusal(want specs.POSIXRlimit) string {
	if want.Hard <= c.max {
		return ""
	}
	return fmt.Sprintf("%s cannot be raised to %s %s", want.Type, showLimit(want.Hard), c.lack)
}

// ownLimit is this process's limit, and how high it may go.
func ownLimit(resource int, name string) (own unix.Rlimit, highest ceiling, err error) {
	if err := unix.Prlimit(0, resource, nil, &own); err != nil {
		return own, highest, fmt.Errorf("cannot read own %s: %w", name, err)
	}
	caps, err := ownCapabilities()
	switch {
	case err != nil:
		return own, highest, err
	case caps&(1<<unix.CAP_SYS_RESOURCE) == 0:
		return own, ceiling{own.Max, "without CAP_SYS_RESOURCE"}, nil
	case userns.RunningInUserNS():
		return own, ceiling{own.Max, "in a user namespace"}, nil
	case resource != unix.RLIMIT_NOFILE:
		return own, ceiling{^uint64(0), ""}, nil
	}
	b, err := os.ReadFile("/proc/sys/fs/nr_open")
	if err != nil {
		return own, highest, fmt.Errorf("cannot read the highest number of open files: %w", err)
	}
	open, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return own, ceiling{max(open, own.Max), "beyond the sysctl fs.nr_open"}, err
}

func showLimit(v uint64) string {
	if v == ^uint64(0) {
		return "unlimited"
	}
	return strconv.FormatUint(v, 10)
}

func resourceOf(name string) (int, bool) {
	n, ok := map[string]int{
		"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU,
		"RLIMIT_DATA": unix.RLIMIT_DATA, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS,
		"RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK, "RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE,
		"RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_RSS": unix.RLIMIT_RSS,
		"RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO, "RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
		"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_STACK": unix.RLIMIT_STACK,
	}[name]
	return n, ok
}

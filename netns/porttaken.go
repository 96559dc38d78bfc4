package netns

import (
	"fmt"
	"strings"
)

// PortTakenError says that another process holds a port.
type PortTakenError struct {
	Port Port
	// Owner names it for people: "nginx (pid 123)", "stack project web (pid 456)",
	// or "" when it cannot be found.
	Owner string
	Err   error // EADDRINUSE
}

func (e *PortTakenError) Error() string {
	if e.Owner == "" {
		return fmt.Sprintf("port %v is taken: %v", e.Port, e.Err)
	}
	return fmt.Sprintf("port %v is taken by %s: %v", e.Port, e.Owner, e.Err)
}

func (e *PortTakenError) Unwrap() error { return e.Err }

// HeldBy reports whether the shim of a project holds the port.
func (e *PortTakenError) HeldBy(project string) bool {
	return strings.HasPrefix(e.Owner, ownerPrefix+project+" (")
}

// ownerPrefix stands before the project's name where a shim is the owner.
const ownerPrefix = "stack project "

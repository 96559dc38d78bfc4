package runtime

import "github.com/opencontainers/runtime-spec/specs-go"

// Staged is a root file system that was put together for a runtime which is
// another program: a directory to pivot into, and what is still to be mounted.
type Staged struct {
	// Root is the directory, to be made read-only in the end if Readonly is set.
	Root     string
	Readonly bool
	// Mounts are all of the specification's and a bind for each of Bundle.Files, in
	// order. Sources of binds lie beside Root.
	Mounts []specs.Mount
	// Finish completes Files with what their Append gives, unless err is set, which
	// it returns. It must be called once.
	Finish func(err error) error
	// Warnings tell what this machine could not do as asked.
	Warnings []string
}

package spec

import (
	"io"

	"github.com/compose-spec/compose-go/v2/types"
)

// Stack is a loaded stack file: compose-go's project and the place of each value.
type Stack struct {
	*types.Project
	positions positions
	// Digests are the SHA-256 of the files that secrets and configs of the services
	// come from, by "secrets/KEY" and "configs/KEY", as the load met them.
	Digests map[string]string
	// Files are those that the load read or looked for; nil is unknown.
	Files []File
	// Sources are the places of the machine that containers are given: bind mounts and
	// HostPaths; nil is unknown.
	Sources []File
	// Warnings are diagnostics that do not stop the load.
	Warnings Diagnostics
}

// Options say what to load.
type Options struct {
	// Files are paths given with -f ("-" is standard input); none: COMPOSE_FILE,
	// else the default names are looked for in Dir and its parents: stack.yaml,
	// stack.yml, compose.yaml, compose.yml, docker-compose.yml, docker-compose.yaml
	// (and their .override).
	Files []string
	// Dir is the working directory (--project-directory); empty: the first file's.
	Dir string
	// Project is -p; empty: COMPOSE_PROJECT_NAME, the file's name:, the directory.
	Project string
	// EnvFiles are --env-file; empty: COMPOSE_ENV_FILES, else .env where it exists.
	EnvFiles []string
	// Profiles are --profile; empty: COMPOSE_PROFILES.
	Profiles []string
	// Environ is the process environment as os.Environ gives it.
	Environ []string
	// Stdin is read for "-"; nil is os.Stdin.
	Stdin io.Reader

	// Services narrows the stack as Select does with dependencies (without them
	// for NoDeps): the others become disabled, and what only they need is not
	// looked at.
	Services []string
	NoDeps   bool

	// Seen, unless nil, is told of each file that the load reads or looks for, also
	// when it fails.
	Seen func(path string)

	// For `config`, which runs nothing: only warn of what no stack can honour.
	Unsupported bool

	// For `config`: leave the names of seccomp profiles' files, in the place of their
	// contents.
	KeepProfiles bool

	// For `config`: leave out steps of the load. Without interpolation only the
	// schema is checked, and only Model can hold what is no string by nature.
	NoInterpolate   bool
	NoNormalize     bool
	NoResolvePaths  bool
	NoConsistency   bool
	NoEnvResolution bool // env_file, label_file, and files of secrets and configs
}

package main

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"stack/scheduler"
	"stack/spec"
)

// liveSource is how a loaded stack is loaded again by the controller.
func (a *app) liveSource(st *spec.Stack, cmd scheduler.Command, runtime string) (*scheduler.LiveSource, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	src := &scheduler.LiveSource{
		Dir: dir, Files: a.files, EnvFiles: a.envFiles, Profiles: a.profiles, ProjectDir: a.dir,
		Services: cmd.Services, NoDeps: cmd.NoDeps, Strict: cmd.Strict, Runtime: runtime,
	}
	named := namedIn(st)
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		switch {
		case name == "HOME" || strings.HasPrefix(name, "COMPOSE_") || named[name]:
			src.Environ = append(src.Environ, entry)
		case aroundPulls(name):
			src.Around = append(src.Around, entry)
			src.Others = append(src.Others, name)
		default:
			src.Others = append(src.Others, name)
		}
	}
	return src, nil
}

// aroundPulls are variables that are about how images are had, not about the stack.
func aroundPulls(name string) bool {
	upper := strings.ToUpper(name)
	return slices.Contains([]string{"PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "TZ", "XDG_RUNTIME_DIR"}, upper) ||
		strings.HasPrefix(name, "DOCKER_") || strings.HasPrefix(name, "STACK_") || strings.HasPrefix(name, "SSL_CERT_")
}

// namedIn are the words of the files of a stack: what may be a variable's name.
func namedIn(st *spec.Stack) map[string]bool {
	out := map[string]bool{}
	word := regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
	for _, f := range st.Files {
		text, err := os.ReadFile(f.Path)
		if err != nil {
			continue // missing, or meanwhile
		}
		for _, w := range word.FindAll(text, -1) {
			out[string(w)] = true
		}
	}
	return out
}

// canLive reports whether a stack can be loaded again: standard input cannot be read
// twice.
func (a *app) canLive(st *spec.Stack) bool {
	return !slices.Contains(st.ComposeFiles, "-")
}

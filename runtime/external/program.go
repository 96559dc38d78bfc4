package external

import (
	"cmp"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// program is an OCI runtime's executable.
type program struct{ path string }

// ErrKata refuses Kata Containers 2, whose only interface is containerd's.
var ErrKata = errors.New("since version 2 Kata Containers have no OCI command line: use x-stack.isolation: vm")

// Native says whether a name stands for the native runtime, not for another program.
func Native(name string) bool { return name == "" || name == "native" || name == "stack" }

// names are those that Compose files use for programs of another name: Docker's
// default runtime, and what NVIDIA's installer calls its own.
func names() map[string]string {
	return map[string]string{"io.containerd.runc.v2": "runc", "nvidia": "nvidia-container-runtime"}
}

// Find turns what a Compose file says (runtime: crun, runtime: /opt/bin/youki) into
// the path of a program. The error says how to install one of the known.
func Find(name string) (string, error) {
	base := strings.ToLower(filepath.Base(name))
	if strings.HasPrefix(base, "kata") || strings.HasPrefix(base, "containerd-shim-kata") || strings.HasPrefix(base, "io.containerd.kata") {
		return "", fmt.Errorf("cannot use runtime %q: %w", name, ErrKata)
	}
	if strings.Contains(name, "/") && !filepath.IsAbs(name) {
		return "", fmt.Errorf("cannot use runtime %q: its path is not absolute", name)
	}
	path, err := exec.LookPath(cmp.Or(names()[name], name))
	if err == nil {
		return path, nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		err = errors.New("there is no such program")
	}
	return "", fmt.Errorf("cannot use runtime %q: %w%s", name, err, installHint(name))
}

func installHint(name string) string {
	switch name {
	case "runc", "crun", "runsc":
		return "; install it, on Debian with: apt install " + name
	case "nvidia":
		return "; install nvidia-container-toolkit, or ask for the devices with gpus: all and leave runtime out"
	}
	return ""
}

// gvisor gives its containers no descriptors of the host, and keeps its processes in
// a sandbox that is not the container to the host's kernel.
func (p program) gvisor() bool { return strings.HasPrefix(filepath.Base(p.path), "runsc") }

// argv is a command line: the flags that all commands have, the command, the rest.
// log receives what the program complains of, as JSON.
func (p program) argv(dir, log string, words ...string) []string {
	out := []string{p.path, "--root", filepath.Join(dir, stateName), "--log", log, "--log-format", "json"}
	return append(out, words...)
}

// create is the words of create, which leaves preserve descriptors above 2 open.
func (p program) create(dir, id, console string, preserve int) []string {
	words := []string{"create", "--bundle", dir, "--pid-file", filepath.Join(dir, pidName)}
	return append(p.inherit(words, console, preserve), id)
}

// stays says whether exec waits for the process that it makes. What runsc leaves alone
// is another runsc, and it fails now and then when that ends at once; it makes terminals
// for no other.
func (p program) stays(console string) bool { return p.gvisor() && console == "" }

// exec is the words of exec for a process described in job.
func (p program) exec(job, id, console string, preserve int) []string {
	words := []string{"exec", "--process", filepath.Join(job, processName), "--pid-file", filepath.Join(job, pidName)}
	if !p.stays(console) {
		words = append(words, "--detach")
	}
	return append(p.inherit(words, console, preserve), id)
}

func (p program) inherit(words []string, console string, preserve int) []string {
	if console != "" {
		words = append(words, "--console-socket", console)
	}
	if preserve > 0 && !p.gvisor() {
		words = append(words, "--preserve-fds", strconv.Itoa(preserve))
	}
	return words
}

func (p program) kill(id string, sig syscall.Signal, all bool) []string {
	words := []string{"kill"}
	if all {
		words = append(words, "--all")
	}
	return append(words, id, strconv.Itoa(int(sig)))
}

func (p program) delete(id string) []string { return []string{"delete", "--force", id} }

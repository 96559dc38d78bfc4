package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// leftovers lists everything of a project that can be seen on the host: processes,
// links, rules, cgroups, mounts and state.
func leftovers(root, project string) []string {
	var left []string
	for _, p := range processes(root) {
		left = append(left, "process "+strconv.Itoa(p.pid)+" "+strings.Join(p.args, " "))
	}
	left = append(left, grep("link", output("ip", "-d", "link"), "stack "+project+" ", "stack:"+project+":")...)
	left = append(left, grep("rule", output("nft", "list", "ruleset"), "stack-"+project+" ", "stack "+project+"\"")...)
	for _, pattern := range []string{"/sys/fs/cgroup/stack/" + project, "/sys/fs/cgroup/*/stack/" + project} {
		dirs, _ := filepath.Glob(pattern)
		for _, d := range dirs {
			left = append(left, "cgroup "+d)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	left = append(left, grep("mount", string(mounts), root)...)
	for _, pattern := range []string{"run/" + project, "lib/projects/" + project, "lib/networks/*/network.json", "lib/volumes/*"} {
		paths, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, p := range paths {
			left = append(left, "file "+p)
		}
	}
	return left
}

func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return name + " failed: " + err.Error()
	}
	return string(out)
}

func grep(kind, text string, any ...string) []string {
	var out []string
	for line := range strings.Lines(text) {
		for _, a := range any {
			if strings.Contains(line, a) {
				out = append(out, kind+" "+strings.TrimSpace(line))
				break
			}
		}
	}
	return out
}

type process struct {
	pid  int
	args []string
}

// processes lists shims and controllers of a state root.
func processes(root string) []process {
	var out []process
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if !bytes.Contains(append([]byte{0}, env...), []byte("\x00STACK_ROOT="+root+"\x00")) {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
		if name := filepath.Base(args[0]); name == "stack" && len(args) > 1 && args[1] == "controller" || name == "stack-shim" {
			out = append(out, process{pid, args})
		}
	}
	return out
}

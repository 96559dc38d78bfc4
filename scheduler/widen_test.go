package scheduler

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// TestWidensKnowsEveryKey: a key that compose-go learns must be judged by a person
// before it is used; until then it waits, which this test does not let happen.
func TestWidensKnowsEveryKey(t *testing.T) {
	for name, c := range map[string]struct {
		of    any
		table map[string]judge
	}{
		"service":   {types.ServiceConfig{}, serviceKeys()},
		"pre_start": {types.PreStartHook{}, serviceKeys()},
		"build":     {types.BuildConfig{}, buildKeys()},
		"x-stack":   {spec.XStack{}, xstackKeys()},
		"volume":    {types.VolumeConfig{}, volumeKeys()},
		"network":   {types.NetworkConfig{}, networkKeys()},
	} {
		for _, key := range fieldKeys(reflect.TypeOf(c.of)) {
			if c.table[key] == nil {
				t.Errorf("%s: nobody has judged %s: put it into its table in widen_keys.go", name, key)
			}
		}
	}
	// What judges look into by themselves.
	for _, c := range []struct {
		of    any
		known []string
	}{
		{types.DeployConfig{}, []string{"mode", "replicas", "labels", "update_config", "rollback_config", "resources", "restart_policy", "placement", "endpoint_mode", "Extensions"}},
		{types.Resource{}, []string{"cpus", "memory", "pids", "devices", "generic_resources", "Extensions"}},
		{types.DevelopConfig{}, []string{"watch", "Extensions"}},
		{types.Trigger{}, []string{"path", "action", "target", "exec", "include", "ignore", "initial_sync", "Extensions"}},
		{types.ServiceHook{}, []string{"command", "user", "privileged", "working_dir", "environment", "Extensions"}},
		{types.ServicePortConfig{}, []string{"name", "mode", "host_ip", "target", "published", "protocol", "app_protocol", "Extensions"}},
		{types.ServiceVolumeConfig{}, []string{"type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs", "image", "Extensions"}},
		{types.FileObjectConfig{}, []string{"name", "file", "environment", "content", "external", "labels", "driver", "driver_opts", "template_driver", "Extensions"}},
	} {
		for _, key := range fieldKeys(reflect.TypeOf(c.of)) {
			if !slices.Contains(c.known, key) {
				t.Errorf("%T has %s: see whether the judges of widen_judges.go must look at it", c.of, key)
			}
		}
	}
}

func fieldKeys(of reflect.Type) []string {
	var out []string
	for f := range of.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported():
		case f.Anonymous:
			out = append(out, fieldKeys(f.Type)...)
		default:
			out = append(out, keyOf(f.Name, name))
		}
	}
	return out
}

// TestWidens edits service a of a small stack: each case adds lines to it.
func TestWidens(t *testing.T) {
	const base = "image: debian\ncap_add: [CHOWN]\ncap_drop: [KILL]\nports: [\"127.0.0.1:8080:80\"]\nvolumes: [\"./src:/src:ro\", \"data:/data\"]\n"
	load := folder(t)
	for _, c := range []struct{ from, to, want string }{
		{"", "privileged: true", "privileged would be on"},
		{"privileged: true", "", ""},
		{"privileged: true", "privileged: true\nentrypoint: [id]", "it runs with the host's root"},
		{"network_mode: host", "network_mode: host\nenvironment: {A: b}", "it runs with the host's root"},
		{"", "security_opt: [seccomp:unconfined]", "security_opt would change"},
		{"security_opt: [no-new-privileges:true]", "", "security_opt would change"},
		{"", "devices: [/dev/kvm]", "devices would get /dev/kvm"},
		{"", "device_cgroup_rules: ['c 1:3 mr']", "device_cgroup_rules would get c 1:3 mr"},
		{"", "gpus: all", "gpus would get"},
		{"", "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1}]}}}", "deploy would get"},
		{"", "deploy: {resources: {limits: {memory: 1g}}}", ""},
		{"", "network_mode: host", "network_mode would be host"},
		{"", "network_mode: none", ""},
		{"", "pid: host", "pid would be host"},
		{"", "ipc: host", "ipc would be host"},
		{"", "ipc: shareable", ""},
		{"", "uts: host", "uts would be host"},
		{"", "userns_mode: host", "userns_mode would be host"},
		{"userns_mode: host", "", ""},
		{"", "cgroup: host", "cgroup would be host"},
		{"", "cgroup_parent: /x", "cgroup_parent would change"},
		{"", "sysctls: {net.core.somaxconn: 5}", "sysctls would change"},
		{"", "oom_score_adj: -5", "oom_score_adj would be -5"},
		{"", "oom_score_adj: 5", ""},
		{"", "annotations: {a: b}", "annotations would change"},
		{"", "volumes_from: [b]", "volumes_from would get b"},
		{"", "post_start: [{command: id, privileged: true}]", "privileged command"},
		{"", "post_start: [{command: id}]", ""},
		{"", "pre_start: [{command: id, image: debian, privileged: true}]", "pre_start[0].privileged would be on"},
		{"", "pre_start: [{command: id, image: debian}]", ""},
		{"", "develop: {watch: [{path: /etc, target: /x, action: sync}]}", "develop would watch /etc"},
		{"", "mem_limit: 1g\ncpus: 2\nlabels: {a: b}\nrestart: always\nenvironment: {A: b}\ncommand: id\nuser: root\nscale: 3\nread_only: true", ""},
		{"", "healthcheck: {test: 'true'}\nstop_signal: SIGINT\ntmpfs: [/x]\nulimits: {nofile: 10}\nx-stack: {bandwidth: {egress: 1mbit}}", ""},
	} {
		old, now := load(edited(base, c.from)), load(edited(base, c.to))
		checkReasons(t, c.from+" → "+c.to, Widens(old, now), c.want)
		if got := Widens(now, now); len(got) > 0 {
			t.Errorf("%s: no edit at all waits: %v", c.to, got)
		}
	}
}

// TestWidensOfLists replaces a key of the small stack.
func TestWidensOfLists(t *testing.T) {
	keys := map[string]string{
		"image": "image: debian", "cap_add": "cap_add: [CHOWN]", "cap_drop": "cap_drop: [KILL]",
		"ports": `ports: ["127.0.0.1:8080:80"]`, "volumes": `volumes: ["./src:/src:ro", "data:/data"]`,
	}
	text := func(key, value string) string {
		var lines []string
		for k, v := range keys {
			if k == key {
				v = key + ": " + value
			}
			lines = append(lines, v)
		}
		slices.Sort(lines)
		return edited(strings.Join(lines, "\n"), "")
	}
	load := folder(t)
	old := load(text("", ""))
	for _, c := range []struct{ key, value, want string }{
		{"cap_add", "[CHOWN, SYS_ADMIN]", "cap_add would get SYS_ADMIN"},
		{"cap_add", "[]", ""},
		{"cap_drop", "[]", "cap_drop would lose KILL"},
		{"cap_drop", "[KILL, CHOWN]", ""},
		{"image", "alpine", ""},
		{"image", "rootfs:/", "image rootfs:/ is a part of this machine"},
		{"image", "docker-archive:x.tar", "image docker-archive:"},
		{"ports", `["8080:80"]`, "ports would take 8080 of the host"},
		{"ports", `["127.0.0.1:22:80"]`, "ports would take 127.0.0.1:22 of the host"},
		{"ports", `["127.0.0.1:8080:81"]`, ""},
		{"ports", "[]", ""},
		{"volumes", `["./src:/other:ro", "data:/data"]`, ""},
		{"volumes", `["./src:/src"]`, "would mount "},
		{"volumes", `["/:/host:ro"]`, "volumes would mount / at /host"},
		{"volumes", `["/var/run/docker.sock:/s"]`, "would mount /var/run/docker.sock"},
		{"volumes", `[{type: bind, source: ./src, target: /src, read_only: true, bind: {propagation: rshared}}]`, "would mount "},
		{"volumes", `[{type: image, source: "rootfs:/root", target: /x}]`, "image rootfs:/root"},
		{"volumes", `[{type: tmpfs, target: /x}, "data:/other"]`, ""},
	} {
		checkReasons(t, c.key+" "+c.value, Widens(old, load(text(c.key, c.value))), c.want)
	}
}

// TestWidensOfObjects replaces what stands beside the services.
func TestWidensOfObjects(t *testing.T) {
	const services = "name: p\nservices:\n  a:\n    image: debian\n    networks: [n, i]\n    volumes: ['data:/data']\n"
	stack := func(volumes, networks string) string {
		return services + "volumes: " + volumes + "\nnetworks: " + networks + "\n"
	}
	const volumes, networks = "{data: {}}", "{n: {}, i: {internal: true}}"
	load := folder(t)
	old := load(stack(volumes, networks))
	for _, c := range []struct{ volumes, networks, want string }{
		{volumes, networks, ""},
		{"{data: {}, more: {}}", networks, ""},
		{"{data: {labels: {a: b}}}", networks, ""},
		{"{data: {driver: local}}", "{n: {driver: bridge}, i: {internal: true}}", ""},
		{"{data: {driver_opts: {type: none, o: bind, device: /etc}}}", networks, "volume data: driver_opts would change"},
		{"{data: {}, more: {driver_opts: {type: none, o: bind, device: /etc}}}", networks, "volume more: driver_opts would change"},
		{"{data: {}, more: {name: other_data}}", networks, "volume more would be other_data"},
		{"{data: {name: other_data}}", networks, "volume data would be other_data"},
		{"{data: {external: true}}", networks, "volume data"},
		{volumes, "{n: {}, i: {}}", "network i: internal would be off"},
		{volumes, "{n: {external: true}, i: {internal: true}}", "network n"},
		{volumes, "{n: {driver_opts: {com.docker.network.bridge.name: br9}}, i: {internal: true}}", "network n: driver_opts would change"},
	} {
		checkReasons(t, c.volumes+" "+c.networks, Widens(old, load(stack(c.volumes, c.networks))), c.want)
	}
	gone := load("name: p\nservices: {a: {image: debian, networks: [n, i]}}\nnetworks: " + networks + "\n")
	checkReasons(t, "a volume goes", Widens(old, gone), "volume data would be gone from the stack")
}

// TestWidensOfFiles: links inside the folder lead out of it.
func TestWidensOfFiles(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	write(t, secret, "A=b\n")
	write(t, filepath.Join(dir, "own"), "A=b\n")
	for _, reads := range []string{"env_file: x", "label_file: x", "configs: [x]", "secrets: [x]"} {
		write(t, filepath.Join(dir, "stack.yaml"), "name: p\nservices:\n  a:\n    image: debian\n    "+reads+"\nconfigs: {x: {file: x}}\nsecrets: {x: {file: x}}\n")
		load := func(to string) *spec.Stack {
			os.Remove(filepath.Join(dir, "x"))
			if err := os.Symlink(to, filepath.Join(dir, "x")); err != nil {
				t.Fatal(err)
			}
			st, err := spec.Load(t.Context(), spec.Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			return st
		}
		inside, out := load("own"), load(secret)
		checkReasons(t, reads, Widens(inside, out), "file "+secret+" lies outside the stack's folder")
		checkReasons(t, reads, Widens(out, out), "")
		checkReasons(t, reads, Widens(out, inside), "")
	}
}

// folder returns a loader of stack files in one directory.
func folder(t *testing.T) func(text string) *spec.Stack {
	file := filepath.Join(t.TempDir(), "stack.yaml")
	return func(text string) *spec.Stack {
		write(t, file, text)
		st, err := spec.Load(t.Context(), spec.Options{Files: []string{file}})
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		return st
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// edited is a stack file whose service a has two texts of lines.
func edited(base, more string) string {
	lines := strings.Split(strings.TrimSpace(base+"\n"+more), "\n")
	text := "name: p\nservices:\n  b: {image: debian}\n  a:\n"
	for _, l := range lines {
		text += "    " + l + "\n"
	}
	text += "volumes: {data: {}}\n"
	if strings.Contains(more, "network_mode") {
		text = strings.Replace(text, "    ports: [\"127.0.0.1:8080:80\"]\n", "", 1)
	}
	return text
}

func checkReasons(t *testing.T, what string, got []Reason, want string) {
	t.Helper()
	var all []string
	for _, r := range got {
		all = append(all, r.String())
	}
	text := strings.Join(all, "; ")
	if want == "" && text != "" || !strings.Contains(text, want) {
		t.Errorf("%s: %q, want %q", what, text, want)
	}
}

package scheduler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"gopkg.in/yaml.v3"

	"stack/netns"
	"stack/runtime"
	"stack/runtime/image"
)

var update = flag.Bool("update", false, "rewrite testdata/translate/*.json")

// fixture is x-test of a file under testdata/translate: what the machine and the
// image add to its service "app".
type fixture struct {
	Image struct {
		Env, Entrypoint, Cmd []string
		WorkingDir           string `yaml:"workingDir"`
		Volumes              []string
		StopSignal           string `yaml:"stopSignal"`
		Labels               map[string]string
		Overlays             []string
	}
	User     struct{ UID, GID uint32 }
	Home     string
	Groups   map[string]uint32
	HostIDs  bool `yaml:"hostIDs"`
	Number   int
	Owners   map[string][2]uint32
	Plain    []string
	Peers    map[string]string // reference → owner of its user namespace
	From     map[string][]UserMount
	Secrets  map[string]string
	Configs  map[string]string
	CgroupV2 bool `yaml:"cgroupV2"`
	Run      *RunOptions
}

// golden is what the tests compare: Translated with contents as text.
type golden struct {
	Spec       *specs.Spec
	Root       runtime.RootFS
	Files      []goldenFile
	Endpoints  []netns.Endpoint
	Ports      []netns.Port
	Log        LogConfig
	StopSignal string
	StopGrace  string
	UserNS     bool
	Warnings   []string `json:",omitempty"`
}

type goldenFile struct {
	Target, Content, Mode string
	UID, GID              uint32
	Writable              bool
}

func loadFixture(t *testing.T, file string) (*types.Project, fixture) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var extra struct {
		Test fixture `yaml:"x-test"`
	}
	if err := yaml.Unmarshal(data, &extra); err != nil {
		t.Fatal(err)
	}
	p, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  "/srv/shop",
		ConfigFiles: []types.ConfigFile{{Filename: "/srv/shop/stack.yaml", Content: data}},
		Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName("shop", true) })
	if err != nil {
		t.Fatal(err)
	}
	return p, extra.Test
}

func fixtureInput(p *types.Project, f fixture) TranslateInput {
	in := TranslateInput{
		Project: p, Service: p.Services["app"], Scale: 1,
		Instance: Identity{ID: strings.Repeat("0123456789abcdef", 4), Name: "shop-app-1", Number: max(f.Number, 1)},
		Image: image.Image{Ref: "test", Digest: "sha256:feed", Layers: []string{"/img/2", "/img/1"}, Config: v1.ImageConfig{
			Env: f.Image.Env, Entrypoint: f.Image.Entrypoint, Cmd: f.Image.Cmd, WorkingDir: f.Image.WorkingDir,
			StopSignal: f.Image.StopSignal, Labels: f.Image.Labels,
		}},
		ConfigHash: "cafe", Version: "1.0",
		User: specs.User{UID: f.User.UID, GID: f.User.GID}, Home: f.Home, Groups: f.Groups,
		IDs: &IDRange{Base: 0x60000000, Size: 65536}, Layer: "/layers/app",
		Volumes: map[string]string{}, VolumesFrom: f.From, Owners: map[string]BindOwner{}, Peers: map[string]Peer{},
		NetworkIDs: map[string]string{}, Secrets: bytesOf(f.Secrets), Configs: bytesOf(f.Configs),
		ResolvConf: []byte("nameserver 127.0.0.11\n"), Hosts: []byte("127.0.0.1\tlocalhost theirs\n"), HostGateway: "172.20.0.1",
		Machine: Machine{CgroupV2: f.CgroupV2, CPUs: 2, Devices: testDevices()},
		Seccomp: func(caps []string) (*specs.LinuxSeccomp, error) {
			return &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}, nil
		},
		ParseSeccomp: func(profile string, caps []string) (*specs.LinuxSeccomp, error) {
			return &specs.LinuxSeccomp{DefaultAction: specs.ActKillProcess, ListenerMetadata: profile}, nil
		},
	}
	if f.HostIDs {
		in.IDs = nil
	}
	if f.Run != nil {
		in.Service = f.Run.Apply(in.Service)
		in.Instance.OneOff, in.Instance.Name = true, "shop-app-run-1"
	}
	for _, target := range f.Image.Volumes {
		if in.Image.Config.Volumes == nil {
			in.Image.Config.Volumes = map[string]struct{}{}
		}
		in.Image.Config.Volumes[target] = struct{}{}
	}
	for _, dir := range f.Image.Overlays {
		in.Image.Overlays = append(in.Image.Overlays, runtime.Overlay{Target: dir, Lower: dir})
	}
	for source, o := range f.Owners {
		in.Owners[source] = BindOwner{UID: o[0], GID: o[1]}
	}
	for _, source := range f.Plain {
		in.Owners[source] = BindOwner{Plain: true}
	}
	for ref, owner := range f.Peers {
		in.Peers[ref] = Peer{Pid: 4711, UserNS: owner, IDs: in.IDs, Shm: "/proc/4711/root/dev/shm"}
		if owner == "" {
			in.Peers[ref] = Peer{Pid: 4711, Shm: "/proc/4711/root/dev/shm"}
		}
	}
	mounts, _ := UserMounts(p, in.Service, in.Image, in.Instance.Name, f.From)
	for _, m := range mounts {
		if m.Type == types.VolumeTypeVolume {
			in.Volumes[m.Source] = "/vol/" + m.Source[:min(16, len(m.Source))]
		}
	}
	for key := range p.Networks {
		in.NetworkIDs[key] = "id-" + key
	}
	return in
}

func bytesOf(in map[string]string) map[string][]byte {
	out := map[string][]byte{}
	for k, v := range in {
		out[k] = []byte(v)
	}
	return out
}

func testDevices() map[string]DeviceNode {
	return map[string]DeviceNode{
		"/dev/null":        {Type: "c", Major: 1, Minor: 3, Mode: 0o666},
		"/dev/fuse":        {Type: "c", Major: 10, Minor: 229, Mode: 0o666},
		"/dev/snd/timer":   {Type: "c", Major: 116, Minor: 33, Mode: 0o660, GID: 29},
		"/dev/snd/seq":     {Type: "c", Major: 116, Minor: 1, Mode: 0o660, GID: 29},
		"/dev/sda":         {Type: "b", Major: 8, Minor: 0, Mode: 0o660, GID: 6},
		"/dev/big":         {Type: "c", Major: 99, Minor: 1, Mode: 0o600, UID: 100000, GID: 100000},
		"/dev/shm/dropped": {Type: "c", Major: 99, Minor: 2, Mode: 0o600},
	}
}

func TestTranslateGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/translate/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			p, f := loadFixture(t, file)
			out, err := Translate(fixtureInput(p, f))
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, strings.TrimSuffix(file, ".yaml")+".json", goldenOf(out))
		})
	}
}

func goldenOf(out Translated) golden {
	g := golden{Spec: out.Spec, Root: out.Root, Endpoints: out.Endpoints, Ports: out.Ports, Log: out.Log,
		StopSignal: out.StopSignal, StopGrace: out.StopGrace.String(), UserNS: out.UserNS, Warnings: out.Warnings}
	for _, f := range out.Files {
		g.Files = append(g.Files, goldenFile{f.Target, string(f.Content), f.Mode.String(), f.UID, f.GID, f.Writable})
	}
	return g
}

func compareGolden(t *testing.T, file string, v any) {
	t.Helper()
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test -run TestTranslateGolden -update writes it)", err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s differs (-update rewrites it); got\n%s", file, got.String())
	}
}

func minimalInput(s types.ServiceConfig) TranslateInput {
	s.Name = "app"
	if s.Command == nil {
		s.Command = types.ShellCommand{"run"}
	}
	p := projectOf(s)
	return fixtureInput(p, fixture{})
}

func TestTranslateRefuses(t *testing.T) {
	spec := func(f func(*types.ServiceConfig)) types.ServiceConfig {
		var s types.ServiceConfig
		f(&s)
		return s
	}
	for want, s := range map[string]types.ServiceConfig{
		"no command":                  spec(func(s *types.ServiceConfig) { s.Command = types.ShellCommand{} }),
		"is not an absolute path":     spec(func(s *types.ServiceConfig) { s.WorkingDir = "app" }),
		"oom_score_adj 2000":          spec(func(s *types.ServiceConfig) { s.OomScoreAdj = 2000 }),
		`group "video" of group_add`:  spec(func(s *types.ServiceConfig) { s.GroupAdd = []string{"video"} }),
		"id 70000 lies outside":       spec(func(s *types.ServiceConfig) { s.GroupAdd = []string{"70000"} }),
		`ulimit "files" is not known`: spec(func(s *types.ServiceConfig) { s.Ulimits = map[string]*types.UlimitsConfig{"files": {Single: 1}} }),
		"above the hard limit": spec(func(s *types.ServiceConfig) {
			s.Ulimits = map[string]*types.UlimitsConfig{"nofile": {Soft: 2, Hard: 1}}
		}),
		"no such capability: SYS_ROOT": spec(func(s *types.ServiceConfig) { s.CapAdd = []string{"SYS_ROOT"} }),
		`security_opt "magic=1"`:       spec(func(s *types.ServiceConfig) { s.SecurityOpt = []string{"magic=1"} }),
		"neither true nor false":       spec(func(s *types.ServiceConfig) { s.SecurityOpt = []string{"no-new-privileges:perhaps"} }),
		"it would change the host":     spec(func(s *types.ServiceConfig) { s.Sysctls = types.Mapping{"vm.swappiness": "1"} }),
		`sysctl "net/core/somaxconn" is not`: spec(func(s *types.ServiceConfig) {
			s.Sysctls, s.NetworkMode = types.Mapping{"net/core/somaxconn": "1"}, "host"
		}),
		"memswap_limit needs mem_limit":                    spec(func(s *types.ServiceConfig) { s.MemSwapLimit = 1 << 20 }),
		"is below mem_limit":                               spec(func(s *types.ServiceConfig) { s.MemSwapLimit, s.MemLimit = 1<<20, 2<<20 }),
		"above the limit":                                  spec(func(s *types.ServiceConfig) { s.MemReservation, s.MemLimit = 2<<20, 1<<20 }),
		"exclude each other":                               spec(func(s *types.ServiceConfig) { s.CPUS, s.CPUQuota = 1, 1000 }),
		"below the least limit":                            spec(func(s *types.ServiceConfig) { s.CPUS = 0.001 }),
		"no such device":                                   spec(func(s *types.ServiceConfig) { s.Devices = []types.DeviceMapping{{Source: "/dev/nope"}} }),
		"devices of CDI specifications were not looked up": spec(func(s *types.ServiceConfig) { s.Devices = []types.DeviceMapping{{Source: "nvidia.com/gpu=all"}} }),
		"not made of r, w and m": spec(func(s *types.ServiceConfig) {
			s.Devices = []types.DeviceMapping{{Source: "/dev/fuse", Permissions: "x"}}
		}),
		`of the form "c 1:3 rwm"`: spec(func(s *types.ServiceConfig) { s.DeviceCgroupRules = []string{"x 1:3 r"} }),
		"no such block device": spec(func(s *types.ServiceConfig) {
			s.BlkioConfig = &types.BlkioConfig{DeviceReadBps: []types.ThrottleDevice{{Path: "/dev/fuse"}}}
		}),
		"weight 5 is not":     spec(func(s *types.ServiceConfig) { s.BlkioConfig = &types.BlkioConfig{Weight: 5} }),
		"two mounts at /a":    spec(func(s *types.ServiceConfig) { s.Tmpfs = types.StringList{"/a", "/a/"} }),
		`cannot mount at "/"`: spec(func(s *types.ServiceConfig) { s.Tmpfs = types.StringList{"/"} }),
		`tmpfs option "fun"`:  spec(func(s *types.ServiceConfig) { s.Tmpfs = types.StringList{"/a:fun"} }),
		`bind source "/gone" does not exist`: spec(func(s *types.ServiceConfig) {
			s.Volumes = []types.ServiceVolumeConfig{{Type: "bind", Source: "/gone", Target: "/a"}}
		}),
		`type "npipe" are not supported`: spec(func(s *types.ServiceConfig) {
			s.Volumes = []types.ServiceVolumeConfig{{Type: "npipe", Source: "x", Target: "/a"}}
		}),
		"leads out of the volume": spec(func(s *types.ServiceConfig) {
			s.Volumes = []types.ServiceVolumeConfig{{Type: "volume", Source: "data", Target: "/a", Volume: &types.ServiceVolumeVolume{Subpath: "../x"}}}
		}),
		"db has no container":              spec(func(s *types.ServiceConfig) { s.VolumesFrom = []string{"db"} }),
		"service:db is not running":        spec(func(s *types.ServiceConfig) { s.NetworkMode = "service:db" }),
		`secret "s": it has no content`:    spec(func(s *types.ServiceConfig) { s.Secrets = []types.ServiceSecretConfig{{Source: "s"}} }),
		"has no usable address":            spec(func(s *types.ServiceConfig) { s.ExtraHosts = types.HostsList{"x": {"nonsense"}} }),
		`network_mode: "web" is not known`: spec(func(s *types.ServiceConfig) { s.NetworkMode = "web" }),
		`pid: "Host" is not known`:         spec(func(s *types.ServiceConfig) { s.Pid = "Host" }),
		`uts: "service:x" is not known`:    spec(func(s *types.ServiceConfig) { s.Uts = "service:x" }),
		"longer than 64 characters":        spec(func(s *types.ServiceConfig) { s.Hostname = strings.Repeat("x", 65) }),
		"max-size": spec(func(s *types.ServiceConfig) {
			s.Logging = &types.LoggingConfig{Options: types.Options{"max-size": "big"}}
		}),
		"max-file": spec(func(s *types.ServiceConfig) {
			s.Logging = &types.LoggingConfig{Options: types.Options{"max-file": "0"}}
		}),
	} {
		_, err := Translate(minimalInput(s))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), `cannot prepare container "shop-app-1": `) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// Without a seccomp profile at hand nothing runs.
func TestTranslateNeedsSeccomp(t *testing.T) {
	in := minimalInput(types.ServiceConfig{})
	in.Seccomp = nil
	if _, err := Translate(in); err == nil || !strings.Contains(err.Error(), "no seccomp profile") {
		t.Errorf("got %v", err)
	}
	in.Seccomp = func([]string) (*specs.LinuxSeccomp, error) { return nil, errors.New("broken") }
	if _, err := Translate(in); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v", err)
	}
}

func TestTranslateLeavesItsInputAlone(t *testing.T) {
	for _, file := range []string{"testdata/translate/mounts.yaml", "testdata/translate/process.yaml", "testdata/translate/run.yaml"} {
		p, f := loadFixture(t, file)
		in := fixtureInput(p, f)
		before, err := json.Marshal([]any{in.Project, in.Service, in.Image, in.User, in.Owners, in.Volumes, in.VolumesFrom})
		if err != nil {
			t.Fatal(err)
		}
		first, err := Translate(in)
		if err != nil {
			t.Fatal(err)
		}
		first.Spec.Annotations["stray"] = "x"
		first.Spec.Process.Capabilities.Bounding[0] = "stray"
		second, err := Translate(in)
		if err != nil {
			t.Fatal(err)
		}
		if second.Spec.Annotations["stray"] != "" || second.Spec.Process.Capabilities.Bounding[0] == "stray" {
			t.Errorf("%s: two translations share memory", file)
		}
		after, _ := json.Marshal([]any{in.Project, in.Service, in.Image, in.User, in.Owners, in.Volumes, in.VolumesFrom})
		if !bytes.Equal(before, after) {
			t.Errorf("%s: input changed", file)
		}
	}
}

func TestTranslateHostsFile(t *testing.T) {
	in := minimalInput(types.ServiceConfig{ContainerSpec: types.ContainerSpec{Hostname: "box", DomainName: "example.org",
		Volumes: []types.ServiceVolumeConfig{{Type: "volume", Target: "/etc"}}}})
	out, err := Translate(in)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(out.Files, func(f runtime.File) bool { return f.Target == "/etc/hosts" }) {
		t.Errorf("a volume at /etc hides the files: %+v", out.Files)
	}
	own := ownHosts([]netns.Lease{
		{IPv4: netip.MustParseAddr("10.0.0.7"), IPv6: netip.MustParseAddr("fd00::7")}, {IPv4: netip.MustParseAddr("10.1.0.3")},
	}, out.Hostname, "example.org")
	if want := "10.0.0.7\tbox.example.org box\nfd00::7\tbox.example.org box\n10.1.0.3\tbox.example.org box\n"; string(own) != want {
		t.Errorf("own lines %q, want %q", own, want)
	}
}

// Another's labels do not reach a runtime that reads annotations.
func TestTranslateKeepsForeignAnnotationsOut(t *testing.T) {
	in := minimalInput(types.ServiceConfig{ContainerSpec: types.ContainerSpec{
		Labels: types.Labels{"com.docker.compose.project": "forged", AnnotationInit: "true", "mine": "1"}}})
	in.Image.Config.Labels = map[string]string{"run.oci.hooks.stdout": "/etc/passwd", "mine": "0"}
	out, err := Translate(in)
	if err != nil {
		t.Fatal(err)
	}
	a := out.Spec.Annotations
	if a["com.docker.compose.project"] != "shop" || a["mine"] != "1" || a[AnnotationInit] != "" || a["run.oci.hooks.stdout"] != "" {
		t.Errorf("annotations %v", a)
	}
	if out.Labels["run.oci.hooks.stdout"] == "" || out.Labels["com.docker.compose.project"] != "shop" {
		t.Errorf("labels %v", out.Labels)
	}
}

func TestRunOptionsLeaveTheServiceAlone(t *testing.T) {
	p, f := loadFixture(t, "testdata/translate/run.yaml")
	before, _ := json.Marshal(p)
	f.Run.Apply(p.Services["app"])
	after, _ := json.Marshal(p)
	if !bytes.Equal(before, after) {
		t.Error("the service changed")
	}
	s := RunOptions{}.Apply(p.Services["app"])
	if len(s.Ports) != 0 || s.Restart != "no" || s.GetScale() != 1 || s.ContainerName != "" || s.Networks["front"].Ipv4Address != "" {
		t.Errorf("got %+v", s)
	}
	if !reflect.DeepEqual(RunOptions{ServicePorts: true}.Apply(p.Services["app"]).Ports, p.Services["app"].Ports) {
		t.Error("--service-ports lost ports")
	}
}

package inspect

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stack/netns"
	"stack/runtime"
	"stack/runtime/image"
	"stack/scheduler"
)

var update = flag.Bool("update", false, "rewrite testdata/*.json")

// golden compares v's JSON with a file.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(want) {
		t.Errorf("%s differs (-update rewrites it); got:\n%s", path, got)
	}
}

const id = "aaaaaaaaaaaabbbbbbbbbbbbccccccccccccddddddddddddeeeeeeeeeeeeffff"

func at(minute int) time.Time { return time.Date(2026, 11, 23, 10, minute, 0, 0, time.UTC) }

func facts() Facts {
	s := types.ServiceConfig{Name: "web"}
	s.Image, s.Command, s.User = "app:1", types.ShellCommand{"serve", "-v"}, "www"
	s.Environment = types.MappingWithEquals{"A": new("service"), "B": new("new"), "GONE": nil}
	s.Ports = []types.ServicePortConfig{{Target: 80, Published: "8080", Protocol: "tcp"}}
	s.Expose = []string{"9000", "53/udp"}
	s.Secrets = []types.ServiceSecretConfig{{Source: "token", Target: "/run/secrets/token"}}
	s.MemLimit, s.CPUS, s.PidsLimit = 64<<20, 1.5, 100
	s.Restart, s.ReadOnly, s.CapDrop = "on-failure:3", true, []string{"ALL"}
	s.Ulimits = map[string]*types.UlimitsConfig{"nofile": {Soft: 10, Hard: 20}, "nproc": {Single: 5}}
	s.Devices = []types.DeviceMapping{{Source: "/dev/fuse", Permissions: "rw"}}
	i := &scheduler.Instance{
		ID: id, Name: "p-web-1", Service: "web", Number: 1, Image: "app:1", Digest: "sha256:1234", StopSignal: "SIGQUIT",
		Command: []string{"/entry", "serve", "-v"}, Labels: map[string]string{"com.docker.compose.project": "p"},
		State: scheduler.StateRunning, Created: at(1), Started: at(2), Restarts: 2,
		Ports:     []netns.Port{{Container: id, Protocol: "tcp", HostPort: 8080, Target: 80}},
		Endpoints: []netns.Endpoint{{Container: id, Network: "n1", IfName: "eth0", Names: []string{"p-web-1", "aaaaaaaaaaaa", "web"}}},
		Check:     scheduler.Probe{Test: []string{"CMD", "true"}, Interval: time.Second, Retries: 3},
		Probe:     &scheduler.ProbeState{Status: scheduler.HealthUnhealthy, FailingStreak: 3, Log: []scheduler.ProbeEntry{{Start: at(3), End: at(4), ExitCode: 1, Output: "no\n"}}},
		Health:    scheduler.HealthUnhealthy,
	}
	img := image.Image{Config: v1.ImageConfig{
		Env: []string{"PATH=/bin", "A=image", "GONE=x", "C=image"}, Entrypoint: []string{"/entry"}, Cmd: []string{"default"}, WorkingDir: "/app",
	}}
	return Facts{
		Instance: i, Pid: 42, LogPath: "/logs/a.log",
		Details: scheduler.Details{Service: s, Image: img, Networks: []string{"p_default"}, Mounts: []scheduler.UserMount{
			{Type: "volume", Source: "p_data", Target: "/data", Key: "data"},
			{Type: "bind", Source: "/srv", Target: "/srv", ReadOnly: true},
			{Type: "volume", Source: "deadbeef", Target: "/anon", Anonymous: true},
			{Type: "tmpfs", Target: "/tmp", Options: []string{"size=1m"}},
		}},
		Networks: map[string]netns.Network{"n1": {ID: "n1", Name: "p_default", Pools: []netns.Pool{
			{Subnet: netip.MustParsePrefix("10.1.0.0/24")}, {Subnet: netip.MustParsePrefix("fd00::/64")},
		}}},
		Leases: []netns.Lease{{Container: id, Network: "n1", IfName: "eth0", Link: "st1", MAC: "02:42:0a:01:00:02",
			IPv4: netip.MustParseAddr("10.1.0.2"), IPv6: netip.MustParseAddr("fd00::2")}},
		VolumeData: func(name string) string { return "/volumes/" + name + "/_data" },
	}
}

func TestContainer(t *testing.T) { golden(t, "running.json", NewContainer(facts())) }

func TestStates(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*scheduler.Instance)
		want   State
	}{
		{"paused", func(i *scheduler.Instance) { i.State = scheduler.StatePaused }, State{Status: "paused", Running: true, Paused: true}},
		{"stopping", func(i *scheduler.Instance) { i.State = scheduler.StateStopping }, State{Status: "running", Running: true}},
		{"restarting", func(i *scheduler.Instance) { i.State = scheduler.StateRestarting }, State{Status: "restarting", Running: true, Restarting: true}},
		{"out of memory", func(i *scheduler.Instance) {
			i.State, i.Exit = scheduler.StateExited, &runtime.Exit{Code: 137, OOMKilled: true}
		}, State{Status: "exited", ExitCode: 137, OOMKilled: true}},
		{"nobody knows", func(i *scheduler.Instance) {
			i.State, i.Exit = scheduler.StateExited, &runtime.Exit{Code: -1, Unknown: true}
		}, State{Status: "exited", ExitCode: -1, Error: "nobody could read the exit code"}},
		{"never started", func(i *scheduler.Instance) {
			i.State, i.Error, i.ErrorCode = scheduler.StateCreated, "cannot execute", 127
		}, State{Status: "created", ExitCode: 127, Error: "cannot execute"}},
	} {
		i := &scheduler.Instance{State: scheduler.StateRunning}
		c.change(i)
		if got := state(i, 0); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestStoppedPublishesNothing: what is not there now is not shown as if it were.
func TestStoppedPublishesNothing(t *testing.T) {
	f := facts()
	f.Instance.State, f.Leases = scheduler.StateExited, nil
	s := NewContainer(f).NetworkSettings
	if len(s.Ports["80/tcp"]) > 0 || s.Networks["p_default"].IPAddress != "" || s.Networks["p_default"].NetworkID != "n1" {
		t.Errorf("%+v", s)
	}
}

func TestCommand(t *testing.T) {
	img := v1.ImageConfig{Entrypoint: []string{"e"}, Cmd: []string{"c"}}
	for _, c := range []struct {
		entrypoint, cmd types.ShellCommand
		want            string
	}{
		{nil, nil, `["e"] ["c"]`},
		{nil, types.ShellCommand{"x"}, `["e"] ["x"]`},
		{types.ShellCommand{"x"}, nil, `["x"] null`},
		{types.ShellCommand{}, nil, `[] ["c"]`},
		{nil, types.ShellCommand{}, `["e"] []`},
	} {
		s := types.ServiceConfig{}
		s.Entrypoint, s.Command = c.entrypoint, c.cmd
		e, cmd := command(s, img)
		a, _ := json.Marshal(e)
		b, _ := json.Marshal(cmd)
		if got := string(a) + " " + string(b); got != c.want {
			t.Errorf("%v %v: got %s, want %s", c.entrypoint, c.cmd, got, c.want)
		}
	}
}

func TestNetwork(t *testing.T) {
	n := netns.Network{
		ID: "n1", Name: "p_default", Project: "p", MTU: 1400, Isolated: true, Masquerade: true, IPv6: true,
		Labels: map[string]string{"a": "b"},
		Pools: []netns.Pool{
			{Subnet: netip.MustParsePrefix("10.1.0.0/24"), Range: netip.MustParsePrefix("10.1.0.128/25"), Gateway: netip.MustParseAddr("10.1.0.9"),
				Reserved: map[string]netip.Addr{"router": netip.MustParseAddr("10.1.0.8")}},
			{Subnet: netip.MustParsePrefix("fd00::/64")},
		},
	}
	golden(t, "network.json", NewNetwork(n, []netns.Lease{{Container: id, Hostname: "p-web-1", Link: "st1", MAC: "02:42:0a:01:00:80",
		IPv4: netip.MustParseAddr("10.1.0.128"), IPv6: netip.MustParseAddr("fd00::2")}}))
}

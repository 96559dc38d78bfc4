package oci

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func valid() *specs.Spec { return example() }

func TestConfigErrors(t *testing.T) {
	if text, _ := json.Marshal(valid()); true {
		if _, err := parseConfig(text); err != nil {
			t.Fatal(err)
		}
	}
	for want, change := range map[string]func(*specs.Spec){
		"ociVersion: is required":                        func(s *specs.Spec) { s.Version = "" },
		`ociVersion: "one" is not a semantic version`:    func(s *specs.Spec) { s.Version = "one" },
		`ociVersion: "2.0.0" is not supported`:           func(s *specs.Spec) { s.Version = "2.0.0" },
		"root.path: is required":                         func(s *specs.Spec) { s.Root = nil },
		"process: is required":                           func(s *specs.Spec) { s.Process = nil },
		"linux: is required":                             func(s *specs.Spec) { s.Linux = nil },
		`mounts[0].destination: "x" is not an absolute`:  func(s *specs.Spec) { s.Mounts[0].Destination = "x" },
		`linux.maskedPaths[0]: "x" is not an absolute`:   func(s *specs.Spec) { s.Linux.MaskedPaths[0] = "x" },
		`linux.readonlyPaths[0]: "x" is not an absolute`: func(s *specs.Spec) { s.Linux.ReadonlyPaths[0] = "x" },
		`linux.devices[0].path: "" is not an absolute`:   func(s *specs.Spec) { s.Linux.Devices = make([]specs.LinuxDevice, 1) },
		`linux.namespaces[0].path: "x" is not`:           func(s *specs.Spec) { s.Linux.Namespaces[0].Path = "x" },
		"is for systemd":                                 func(s *specs.Spec) { s.Linux.CgroupsPath = "a.slice:b:c" },
		"annotations: a key is empty":                    func(s *specs.Spec) { s.Annotations = map[string]string{"": "x"} },
		"another platform":                               func(s *specs.Spec) { s.Windows = &specs.Windows{} },
	} {
		s := valid()
		change(s)
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseConfig(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for text, want := range map[string]string{
		"{\n\"process\": {\n\"cwd\": 3}}": "line 3",
		"{\n\n,":                          "line 3",
		"":                                "unexpected end",
	} {
		if _, err := parseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestConfigIsExtensible(t *testing.T) {
	text, _ := json.Marshal(valid())
	text = append([]byte(`{"nobodyKnowsThis": {"x": [1]},`), text[1:]...)
	if _, err := parseConfig(text); err != nil {
		t.Error(err)
	}
	for _, v := range []string{"1.0.0", "1.0.2-dev", "1.3.0", "1.99.0+x"} {
		if err := checkVersion(v); err != nil {
			t.Error(err)
		}
	}
}

func TestParseSizes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "-1": -1, "512": 512, "1k": 1 << 10, "2M": 2 << 20, "3gb": 3 << 30, "1T": 1 << 40} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "-2", "-1k", "9999999999999g", "1.5g"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func TestParseSignals(t *testing.T) {
	for text, want := range map[string]int{"": 15, "9": 9, "KILL": 9, "SIGKILL": 9, "sigusr1": 10, "RTMIN": 34, "SIGRTMIN+1": 35, "RTMAX-1": 63, "64": 64} {
		if got, err := parseSignal(text); err != nil || int(got) != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"X", "65", "-1", "RTMIN+31", "RTMAX+1", "RTMIN-1"} {
		if got, err := parseSignal(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

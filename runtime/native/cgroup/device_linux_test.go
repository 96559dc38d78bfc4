package cgroup

import (
	"os/exec"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// deviceAccess are the commands that tell whether an access is granted.
const (
	readNull   = "exec 3< /dev/null"
	writeNull  = "exec 3> /dev/null"
	bothNull   = "exec 3<> /dev/null"
	readZero   = "exec 3< /dev/zero"
	makeNode   = "d=$(mktemp -d); mknod $d/n c 1 3; s=$?; rm -r $d; exit $s"
	makeLoop   = "d=$(mktemp -d); mknod $d/n b 7 0; s=$?; rm -r $d; exit $s"
	nullMajor  = 1
	nullMinor  = 3
	zeroMinor  = 5
	everything = -1
)

func allow(kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
	return specs.LinuxDeviceCgroup{Allow: true, Type: kind, Major: &major, Minor: &minor, Access: access}
}

func TestDevices(t *testing.T) {
	p := project(t)
	denyAll := specs.LinuxDeviceCgroup{Access: "rwm"}
	denyNull := allow("c", nullMajor, nullMinor, "rwm")
	denyNull.Allow = false
	for _, c := range []struct {
		name    string
		rules   []specs.LinuxDeviceCgroup
		granted []string
		refused []string
	}{
		{"no rules", nil, []string{bothNull, readZero, makeNode}, nil},
		{"all denied", []specs.LinuxDeviceCgroup{denyAll}, nil, []string{readNull, writeNull, readZero, makeNode}},
		{"read alone", []specs.LinuxDeviceCgroup{denyAll, allow("c", nullMajor, nullMinor, "r")},
			[]string{readNull}, []string{writeNull, bothNull, makeNode, readZero}},
		{"read and write by two rules", []specs.LinuxDeviceCgroup{denyAll, allow("c", nullMajor, nullMinor, "r"), allow("c", nullMajor, nullMinor, "w")},
			[]string{readNull, writeNull, bothNull}, []string{makeNode}},
		{"no device numbers", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Type: "c", Access: "m"}},
			[]string{makeNode}, []string{readNull, makeLoop}},
		{"type a with numbers is no wildcard", []specs.LinuxDeviceCgroup{denyAll, allow("a", nullMajor, zeroMinor, "rwm")},
			[]string{readZero}, []string{readNull}},
		{"privileged", []specs.LinuxDeviceCgroup{denyAll, {Allow: true, Access: "rwm"}},
			[]string{bothNull, readZero, makeNode, makeLoop}, nil},
		{"all but one", []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}, denyNull},
			[]string{readZero, makeLoop}, []string{readNull, writeNull, makeNode}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := create(t, p+"/x", &specs.LinuxResources{Devices: c.rules})
			for _, script := range c.granted {
				if err := runIn(t, g, script); err != nil {
					t.Errorf("%q is refused: %v", script, err)
				}
			}
			for _, script := range c.refused {
				if err := runIn(t, g, script); err == nil {
					t.Errorf("%q is granted", script)
				}
			}
			check(t, g.Delete())
		})
	}
}

// runIn starts the shell outside of the rules' reach: /dev/null for its own
// streams is open before.
func runIn(t *testing.T, g *Group, script string) error {
	t.Helper()
	cmd, err := start(g, "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(err)
	}
	return err
}

func TestUpdateDevices(t *testing.T) {
	p := project(t)
	denyAll := specs.LinuxDeviceCgroup{Access: "rwm"}
	g := create(t, p+"/x", &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{denyAll}})
	if runIn(t, g, readZero) == nil {
		t.Error("denied, yet read")
	}
	update := func(rules ...specs.LinuxDeviceCgroup) {
		t.Helper()
		check(t, g.Update(&specs.LinuxResources{Devices: rules}))
	}
	update(denyAll, allow("c", nullMajor, zeroMinor, "r"))
	if err := runIn(t, g, readZero); err != nil {
		t.Errorf("allowed, yet %v", err)
	}
	update(denyAll)
	if runIn(t, g, readZero) == nil {
		t.Error("denied again, yet read")
	}
	check(t, g.Delete())
}

package scheduler

import (
	"fmt"
	"strings"
	"testing"

	"stack/runtime/image"
	"stack/runtime/quota"
	"stack/spec"
)

// preflightOf are the findings for all services of a file, as LINE: MESSAGE [RULE].
func preflightOf(t *testing.T, m *fakeMachine, text string) string {
	t.Helper()
	st, s := writeStack(t, text)
	found, err := Preflight(t.Context(), st, st.ServiceNames(), m, s)
	if err != nil {
		t.Fatal(err)
	}
	return findings(found)
}

func findings(found spec.Diagnostics) string {
	var out []string
	for _, d := range found {
		out = append(out, fmt.Sprintf("%d:%d: %s [%s]", d.Line, d.Col, d.Message, d.Rule))
	}
	return strings.Join(out, "\n")
}

func TestPreflightAddsUpReservations(t *testing.T) {
	text := `services:
  big:
    image: rootfs:/
    scale: 3
    deploy:
      resources:
        reservations: {memory: 2g, cpus: "0.5"}
  small:
    image: rootfs:/
    mem_reservation: 512m
  none: {image: "rootfs:/"}
`
	m := &fakeMachine{facts: Facts{Memory: 4 << 30, CPUs: 1}}
	want := `7:32: the reservations add up to 6.5GiB of memory, but the machine has 4GiB: big 2GiB × 3, small 512MiB [reservations]
7:42: the reservations add up to 1.5 of CPUs, but the machine has 1: big 0.5 × 3 [reservations]`
	if got := preflightOf(t, m, text); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	m.facts = Facts{Memory: 7 << 30, CPUs: 2}
	if got := preflightOf(t, m, text); got != "" {
		t.Errorf("enough of all: %s", got)
	}
	m.facts = Facts{}
	if got := preflightOf(t, m, text); got != "" {
		t.Errorf("nothing known: %s", got)
	}
}

func TestPreflightMissesHealthChecks(t *testing.T) {
	text := `services:
  a:
    image: rootfs:/
    depends_on:
      none: {condition: service_healthy}
      own: {condition: service_healthy}
      off: {condition: service_healthy}
      started: {condition: service_started}
      pulled: {condition: service_healthy}
      checked: {condition: service_healthy}
      unchecked: {condition: service_healthy}
  none: {image: "rootfs:/"}
  own: {image: "rootfs:/", healthcheck: {test: "true"}}
  off: {image: checked, healthcheck: {disable: true}}
  started: {image: "rootfs:/"}
  pulled: {image: not-here}
  checked: {image: checked}
  unchecked: {image: unchecked}
`
	m := &fakeMachine{images: []image.Record{
		{Image: image.Image{Ref: "docker.io/library/checked:latest", Healthcheck: &image.Healthcheck{Test: []string{"CMD", "true"}}}},
		{Image: image.Image{Ref: "docker.io/library/unchecked:latest"}},
	}}
	want := `5:25: service "a" waits for "none" to be healthy, but neither the file nor its image gives it a health check [no-healthcheck]
7:24: service "a" waits for "off" to be healthy, but its health check is disabled [no-healthcheck]
11:30: service "a" waits for "unchecked" to be healthy, but neither the file nor its image gives it a health check [no-healthcheck]`
	if got := preflightOf(t, m, text); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

const qemuARM = `enabled
interpreter /usr/bin/qemu-aarch64-static
flags: %s
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
`

const qemuS390 = `enabled
interpreter /usr/bin/qemu-s390x-static
flags: OCF
offset 0
magic 7f454c4602020100000000000000000000020016
mask ffffffffffffff00fffffffffffffffffffeffff
`

func TestPreflightLooksForInterpreters(t *testing.T) {
	text := `services:
  a:
    image: some
    platform: linux/arm64
  b: {image: "rootfs:/", platform: linux/riscv64}
  c: {image: some, platform: linux/amd64}
  d: {image: some, platform: "386"}
`
	bad := `4:15: programs of linux/arm64 do not run on this machine (linux/amd64): binfmt_misc has no enabled interpreter for them with flag F [platform]`
	for _, c := range []struct{ entry, want string }{
		{"", bad},
		{fmt.Sprintf(qemuARM, "OCF"), ""},
		{fmt.Sprintf(qemuARM, "OC"), bad},
		{strings.Replace(fmt.Sprintf(qemuARM, "F"), "enabled", "disabled", 1), bad},
		{qemuS390, bad},
		{"enabled\ninterpreter /usr/bin/python3\nflags: F\nextension .py\n", bad},
	} {
		if got := preflightOf(t, &fakeMachine{facts: Facts{Arch: "amd64", Interpreters: []string{"enabled\n", c.entry}}}, text); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.entry, got, c.want)
		}
	}
	if !runsHere("linux/s390x", "amd64", []string{qemuS390}) || runsHere("linux/mips", "amd64", []string{qemuS390}) || !runsHere("linux/arm64/v8", "arm64", nil) {
		t.Error("platforms are read wrongly")
	}
}

// The command line may ask for more replicas than a name allows.
func TestPreflightCountsContainersOfOneName(t *testing.T) {
	st, s := writeStack(t, "services:\n  web:\n    image: rootfs:/\n    container_name: the-one\n")
	svc := st.Services["web"]
	svc.Scale = new(2)
	st.Services["web"] = svc
	found, err := Preflight(t.Context(), st, []string{"web"}, &fakeMachine{}, s)
	want := `4:21: service "web" cannot have 2 replicas of one container_name [container-name]`
	if got := findings(found); err != nil || got != want {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestPreflightFindsRuntimes(t *testing.T) {
	text := `services:
  a: {image: "rootfs:/", runtime: runc}
  b:
    image: rootfs:/
    runtime: crun
  c: {image: "rootfs:/"}
`
	want := `5:14: no crun here [runtime]`
	if got := preflightOf(t, &fakeMachine{runtimes: []string{"runc"}}, text); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPreflightWantsQuotas(t *testing.T) {
	text := `services:
  a:
    image: rootfs:/
    storage_opt: {size: 1g}
  machine:
    image: rootfs:/
    storage_opt: {size: 1g}
    x-stack: {isolation: vm}
  none: {image: "rootfs:/"}
`
	m := &fakeMachine{quotas: &quota.Error{Dir: "/s", Kind: "ext4"}}
	want := `4:25: cannot bound what "/s" holds: its file system does not enforce project quotas: ` +
		`this is ext4, which needs its features quota and project (tune2fs -O quota,project DEVICE, unmounted) and the mount option prjquota [storage]`
	if got := preflightOf(t, m, text); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	m.quotas = nil
	if got := preflightOf(t, m, text); got != "" {
		t.Errorf("with quotas: %s", got)
	}
}

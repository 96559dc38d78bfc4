package scheduler

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

func TestHostUserNS(t *testing.T) {
	chain := func(owner types.ServiceConfig) bool {
		owner.Name = "a"
		b := types.ServiceConfig{Name: "b", ContainerSpec: types.ContainerSpec{NetworkMode: "service:a"}}
		c := types.ServiceConfig{Name: "c", ContainerSpec: types.ContainerSpec{Pid: "service:b"}}
		return HostUserNS(projectOf(owner, b, c), c)
	}
	for name, c := range map[string]struct {
		spec types.ContainerSpec
		want bool
	}{
		"isolated":    {types.ContainerSpec{}, false},
		"privileged":  {types.ContainerSpec{Privileged: true}, true},
		"userns_mode": {types.ContainerSpec{UserNSMode: "host"}, true},
		"host net":    {types.ContainerSpec{NetworkMode: "host"}, true},
		"host pid":    {types.ContainerSpec{Pid: "host"}, true},
		"host ipc":    {types.ContainerSpec{Ipc: "host"}, true},
		"host uts":    {types.ContainerSpec{Uts: "host"}, false},
		"cycle":       {types.ContainerSpec{NetworkMode: "service:c"}, false},
	} {
		if got := chain(types.ServiceConfig{ContainerSpec: c.spec}); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestTranslateRefusesTwoUserNamespaces(t *testing.T) {
	in := minimalInput(types.ServiceConfig{ContainerSpec: types.ContainerSpec{NetworkMode: "service:a", Pid: "container:b"}})
	in.Peers = map[string]Peer{"service:a": {Pid: 1, UserNS: "a", IDs: in.IDs}, "container:b": {Pid: 2, UserNS: "b", IDs: in.IDs}}
	if _, err := Translate(in); err == nil || !strings.Contains(err.Error(), "different user namespaces") {
		t.Errorf("got %v", err)
	}
	in.Service.UserNSMode = "host"
	out, err := Translate(in)
	if err != nil || out.UserNS {
		t.Errorf("got %v, %v", out.UserNS, err)
	}
}

// A mount that the kernel refuses to map decides for a new container only: the files
// of one that ran have their owners.
func TestFallBackToHostUserNS(t *testing.T) {
	for name, c := range map[string]struct {
		plain   bool
		before  UserNSBefore
		strict  bool
		peer    *Peer
		base    uint32
		userNS  bool
		warning string
		err     string
	}{
		"mapped":                   {userNS: true},
		"refused":                  {plain: true, warning: "runs in the host's user namespace, as with"},
		"refused, strict":          {plain: true, strict: true, err: "--strict"},
		"refused again":            {plain: true, before: UserNSHost, warning: "as with"},
		"refused by now":           {plain: true, before: UserNSOwn, userNS: true, warning: "belong to nobody"},
		"mapped by now":            {before: UserNSHost, warning: "recreate it"},
		"mapped again":             {before: UserNSOwn, userNS: true},
		"joins":                    {peer: &Peer{Pid: 1, UserNS: "x", IDs: &IDRange{1000, 10}}, userNS: true},
		"joins one in the host's":  {peer: &Peer{Pid: 1}},
		"joins again":              {peer: &Peer{Pid: 1}, before: UserNSHost},
		"joins the same ids":       {peer: &Peer{Pid: 1, UserNS: "x", IDs: &IDRange{1000, 10}}, before: UserNSOwn, base: 1000, userNS: true},
		"joins other ids":          {peer: &Peer{Pid: 1, UserNS: "x", IDs: &IDRange{1000, 10}}, before: UserNSOwn, base: 2000, err: "other ids"},
		"owner went to the host's": {peer: &Peer{Pid: 1}, before: UserNSOwn, err: "recreate it"},
		"owner has its own by now": {peer: &Peer{Pid: 1, UserNS: "x", IDs: &IDRange{1000, 10}}, before: UserNSHost, err: "recreate it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := types.ServiceConfig{}
			if c.peer != nil {
				s.Pid = "service:x"
			}
			in := minimalInput(s)
			in.Service.Volumes = []types.ServiceVolumeConfig{{Type: types.VolumeTypeBind, Source: "/p", Target: "/p"}}
			in.Owners = map[string]BindOwner{"/p": {Plain: c.plain}}
			in.UserNSBefore, in.Strict, in.IDBaseBefore = c.before, c.strict, c.base
			if c.peer != nil {
				in.Peers = map[string]Peer{"service:x": *c.peer}
			}
			out, err := Translate(in)
			if err != nil || c.err != "" {
				if err == nil || c.err == "" || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got error %v, want %q", err, c.err)
				}
				return
			}
			if out.UserNS != c.userNS {
				t.Errorf("user namespace: %v", out.UserNS)
			}
			if got := strings.Join(out.Warnings, "; "); !strings.Contains(got, c.warning) || (c.warning == "") != (got == "") {
				t.Errorf("warnings %q, want %q", got, c.warning)
			}
		})
	}
}

// Who shares namespaces is replaced when their owner is in another user namespace
// than it was.
func TestStrayedReplica(t *testing.T) {
	owner := &Instance{ID: "o", Service: "a", Number: 1, State: StateRunning, Started: time.Unix(1, 0)}
	joiner := &Instance{ID: "j", Service: "b", Number: 1, State: StateRunning, Started: time.Unix(1, 0)}
	b := types.ServiceConfig{Name: "b", ContainerSpec: types.ContainerSpec{NetworkMode: "service:a"}}
	strayed := func(b types.ServiceConfig) bool {
		st, _ := writeStack(t, "services: {a: {image: x}}")
		st.Project = projectOf(types.ServiceConfig{Name: "a"}, b)
		p := &planner{want: Want{Wish: Wish{Stack: st}}, seen: Observed{Instances: []*Instance{owner, joiner}}}
		return p.strayed(joiner)
	}
	if strayed(b) {
		t.Error("of two in user namespaces")
	}
	owner.HostUserNS = true
	if !strayed(b) {
		t.Error("the owner went to the host's")
	}
	joiner.HostUserNS = true
	if strayed(b) {
		t.Error("of two in the host's")
	}
	owner.HostUserNS = false
	if !strayed(b) {
		t.Error("the owner came from the host's")
	}
	if b.Privileged = true; strayed(b) {
		t.Error("of one that would come back as it is, for ever")
	}
	b.Privileged, joiner.Started = false, time.Time{}
	if strayed(b) {
		t.Error("of one that never ran")
	}
}

func TestPreflightRefusesMixedUserNamespaces(t *testing.T) {
	st, s := writeStack(t, `services:
  own: {image: "rootfs:/", command: x}
  host: {image: "rootfs:/", command: x, pid: host}
  a: {image: "rootfs:/", command: x, privileged: true, network_mode: "service:own"}
  b: {image: "rootfs:/", command: x, userns_mode: host, pid: "service:c"}
  c: {image: "rootfs:/", command: x, ipc: "service:own"}
  d: {image: "rootfs:/", command: x, privileged: true, network_mode: "service:host"}
  e: {image: "rootfs:/", command: x, network_mode: "service:host"}
  f: {image: "rootfs:/", command: x, network_mode: "container:other-web-1"}
  g: {image: "rootfs:/", command: x, userns_mode: host, pid: "container:other-web-1"}
  h: {image: "rootfs:/", command: x, ipc: "container:nobody"}
`)
	found, err := Preflight(t.Context(), st, []string{"own", "host", "a", "b", "c", "d", "e", "f", "g", "h"}, &fakeMachine{}, s)
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(found); !slices.Equal(got, []string{"4:userns", "5:userns", "10:userns", "11:namespaces"}) {
		t.Errorf("found %v", found)
	}
}

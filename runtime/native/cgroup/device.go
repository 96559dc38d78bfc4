package cgroup

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// access is a set of device permissions; the bits are those of
// BPF_DEVCG_ACC_*.
type access uint8

const (
	accessMknod access = 1 << iota
	accessRead
	accessWrite
	accessAll = accessMknod | accessRead | accessWrite
)

// anyNumber stands for every major or minor number.
const anyNumber = -1

// deviceRule allows or denies access to devices. Rules apply in order, the last
// one that matches deciding for each permission; at first everything is denied.
type deviceRule struct {
	allow        bool
	kind         byte // 'b' or 'c'; 'a' only for every device with every access
	major, minor int64
	access       access
}

func (r deviceRule) String() string {
	verb := "deny"
	if r.allow {
		verb = "allow"
	}
	return verb + " " + r.line()
}

// line is the rule in the notation of version 1's devices.allow.
func (r deviceRule) line() string {
	return fmt.Sprintf("%c %s:%s %s", r.kind, deviceNumber(r.major), deviceNumber(r.minor), r.access)
}

func deviceNumber(n int64) string {
	if n == anyNumber {
		return "*"
	}
	return strconv.FormatInt(n, 10)
}

func (a access) String() string {
	var b strings.Builder
	for _, p := range []struct {
		bit    access
		letter byte
	}{{accessRead, 'r'}, {accessWrite, 'w'}, {accessMknod, 'm'}} {
		if a&p.bit != 0 {
			b.WriteByte(p.letter)
		}
	}
	return b.String()
}

func parseAccess(s string) (access, error) {
	if s == "" {
		return accessAll, nil
	}
	var a access
	for _, c := range s {
		switch c {
		case 'r':
			a |= accessRead
		case 'w':
			a |= accessWrite
		case 'm':
			a |= accessMknod
		default:
			return 0, fmt.Errorf("device access %q has a letter other than r, w and m", s)
		}
	}
	return a, nil
}

// deviceRules checks the rules of an OCI configuration and brings them into the
// one form that means the same to both versions. A rule for type "a" that is
// narrower than everything becomes two: version 1 would read it as everything.
func deviceRules(list []specs.LinuxDeviceCgroup) ([]deviceRule, error) {
	var rules []deviceRule
	for _, d := range list {
		expanded, err := deviceRulesOf(d)
		if err != nil {
			return nil, err
		}
		rules = append(rules, expanded...)
	}
	return rules, nil
}

func deviceRulesOf(d specs.LinuxDeviceCgroup) ([]deviceRule, error) {
	acc, err := parseAccess(d.Access)
	if err != nil {
		return nil, err
	}
	r := deviceRule{allow: d.Allow, major: anyNumber, minor: anyNumber, access: acc}
	for _, n := range []struct {
		from *int64
		to   *int64
	}{{d.Major, &r.major}, {d.Minor, &r.minor}} {
		if n.from == nil {
			continue
		}
		if *n.from < anyNumber || *n.from > math.MaxUint32 {
			return nil, fmt.Errorf("device number %d is out of range", *n.from)
		}
		*n.to = *n.from
	}
	switch d.Type {
	case "b":
		r.kind = 'b'
	case "c", "u":
		r.kind = 'c'
	case "", "a":
		if r.major == anyNumber && r.minor == anyNumber && acc == accessAll {
			r.kind = 'a'
			break
		}
		char, block := r, r
		char.kind, block.kind = 'c', 'b'
		return []deviceRule{char, block}, nil
	default:
		return nil, fmt.Errorf("device type %q is not one of a, b and c", d.Type)
	}
	return []deviceRule{r}, nil
}

// deviceTable is what version 1 keeps: everything denied or allowed, and the
// exceptions from that.
type deviceTable struct {
	allowAll   bool
	exceptions []deviceRule // all with allow != allowAll
}

// tableOf runs the rules as the kernel would. The kernel ignores a rule that
// takes back a part of a wider one ("allow c *:*, deny c 1:3"); that would leave
// a device open, so it is an error here.
func tableOf(rules []deviceRule) (deviceTable, error) {
	var t deviceTable
	for _, r := range rules {
		if r.kind == 'a' {
			t = deviceTable{allowAll: r.allow}
			continue
		}
		if r.allow != t.allowAll {
			t.except(r)
			continue
		}
		if err := t.revoke(r); err != nil {
			return deviceTable{}, err
		}
	}
	return t, nil
}

func (t *deviceTable) except(r deviceRule) {
	for i, e := range t.exceptions {
		if e.sameDevice(r) {
			t.exceptions[i].access |= r.access
			return
		}
	}
	t.exceptions = append(t.exceptions, r)
}

func (t *deviceTable) revoke(r deviceRule) error {
	var kept []deviceRule
	for _, e := range t.exceptions {
		switch {
		case e.access&r.access == 0 || !e.overlaps(r):
		case r.covers(e):
			e.access &^= r.access
		default:
			return fmt.Errorf("device rule %q takes back a part of %q, which cgroup v1 cannot express", r, e)
		}
		if e.access != 0 {
			kept = append(kept, e)
		}
	}
	t.exceptions = kept
	return nil
}

func (r deviceRule) sameDevice(o deviceRule) bool {
	return r.kind == o.kind && r.major == o.major && r.minor == o.minor
}

// covers tells whether every device of o is one of r.
func (r deviceRule) covers(o deviceRule) bool {
	return r.kind == o.kind &&
		(r.major == anyNumber || r.major == o.major) &&
		(r.minor == anyNumber || r.minor == o.minor)
}

func (r deviceRule) overlaps(o deviceRule) bool {
	meet := func(a, b int64) bool { return a == b || a == anyNumber || b == anyNumber }
	return r.kind == o.kind && meet(r.major, o.major) && meet(r.minor, o.minor)
}

package cgroup

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func rule(allow bool, kind byte, major, minor int64, a access) deviceRule {
	return deviceRule{allow, kind, major, minor, a}
}

func TestDeviceTable(t *testing.T) {
	everything := rule(false, 'a', anyNumber, anyNumber, accessAll)
	for _, c := range []struct {
		name  string
		rules []deviceRule
		want  string
	}{
		{"merges accesses", []deviceRule{everything, rule(true, 'c', 1, 3, accessRead), rule(true, 'c', 1, 3, accessWrite)},
			"allow c 1:3 rw"},
		{"the last everything resets", []deviceRule{rule(true, 'c', 1, 3, accessAll), everything, rule(true, 'c', 1, 5, accessAll)},
			"allow c 1:5 rwm"},
		{"takes back exactly", []deviceRule{rule(true, 'c', 1, 3, accessAll), rule(false, 'c', 1, 3, accessWrite)},
			"allow c 1:3 rm"},
		{"takes back by a wider rule", []deviceRule{rule(true, 'c', 1, 3, accessAll), rule(true, 'b', 1, 3, accessAll), rule(false, 'c', 1, anyNumber, accessAll)},
			"allow b 1:3 rwm"},
		{"denying other access of a wider rule is nothing", []deviceRule{rule(true, 'c', anyNumber, anyNumber, accessMknod), rule(false, 'c', 1, 3, accessRead)},
			"allow c *:* m"},
		{"open but for one", []deviceRule{rule(true, 'a', anyNumber, anyNumber, accessAll), rule(false, 'c', 1, 3, accessAll)},
			"ALL deny c 1:3 rwm"},
	} {
		table, err := tableOf(c.rules)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		if table.allowAll {
			got = append(got, "ALL")
		}
		for _, e := range table.exceptions {
			got = append(got, e.String())
		}
		if strings.Join(got, ", ") != strings.ReplaceAll(c.want, "ALL ", "ALL, ") {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, bad := range []string{"", "/", "stack", "/stack/", "/stack/../x", "//x", "/x/./y", "/x\n"} {
		if checkPath(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if err := checkPath("/stack/web/0a.b"); err != nil {
		t.Error(err)
	}
	if got := strings.Join(ancestors("/stack/web/x"), " "); got != "/stack /stack/web" {
		t.Errorf("ancestors are %s", got)
	}
	if got := strings.Join(disposable("/stack/web/x"), " "); got != "/stack/web /stack" {
		t.Errorf("disposable are %s", got)
	}
	if got := disposable("/system.slice/x"); got != nil {
		t.Errorf("%v are not ours", got)
	}
}

// grants runs rules one after the other, as their order means them, for one
// permission of one device.
func grants(rules []deviceRule, asked deviceRule) bool {
	verdict := false
	for _, r := range rules {
		if r.kind == 'a' || r.access&asked.access != 0 && r.covers(asked) {
			verdict = r.allow
		}
	}
	return verdict
}

// Whatever table the rules come to, it grants what they grant.
func TestDeviceTableMeansItsRules(t *testing.T) {
	device := func(t *rapid.T, lowest int64) deviceRule {
		return deviceRule{
			kind:  rapid.SampledFrom([]byte("bc")).Draw(t, "kind"),
			major: rapid.Int64Range(lowest, 2).Draw(t, "major"),
			minor: rapid.Int64Range(lowest, 2).Draw(t, "minor"),
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) deviceRule {
			r := device(t, anyNumber)
			r.access = access(rapid.IntRange(1, int(accessAll)).Draw(t, "access"))
			r.allow = rapid.Bool().Draw(t, "allow")
			if rapid.IntRange(0, 9).Draw(t, "all") == 0 {
				r = rule(r.allow, 'a', anyNumber, anyNumber, accessAll)
			}
			return r
		}), 0, 6).Draw(t, "rules")
		table, err := tableOf(rules)
		if err != nil {
			return
		}
		asked := device(t, 0)
		asked.access = rapid.SampledFrom([]access{accessRead, accessWrite, accessMknod}).Draw(t, "asked")
		base := rule(table.allowAll, 'a', anyNumber, anyNumber, accessAll)
		reduced := append([]deviceRule{base}, table.exceptions...)
		if got, want := grants(reduced, asked), grants(rules, asked); got != want {
			t.Fatalf("%v come to %v, which grants %q: %v instead of %v", rules, reduced, asked, got, want)
		}
	})
}

package cgroup

import (
	"strings"
	"testing"
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

package netns

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// What we compile is what nft makes of the same text.
func TestCompiledRulesAreTheText(t *testing.T) {
	ours, theirs := newLab(t), newLab(t)
	want := exampleRuleset()
	h := ours.open("shop")
	changed, err := h.table.sync(want, h.generation)
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	file := t.TempDir() + "/rules.nft"
	must(t, os.WriteFile(file, []byte(want.String()), 0o600))
	theirs.cmd("nft -f " + file)
	for _, c := range want.Chains {
		// Expressions, without the sets and without rules' handles.
		// nft turns a byte round, which does nothing; we don't.
		list := "nft --debug=netlink list chain inet stack-shop " + c.Name + " | grep -e '^ *\\[' -e type | grep -v 'hton(reg 1, 2, 1)'"
		same(t, theirs.cmd(list), ours.cmd(list))
	}
	for _, s := range want.Sets {
		kind := map[bool]string{true: "map", false: "set"}[len(s.Data) > 0]
		if s.balanced() { // nft writes and reads the types in other words
			list := "nft --debug=netlink list map inet stack-shop " + s.Name + " | grep -o 'element [^:]* : [0-9a-f ]*' | sort"
			same(t, theirs.cmd(list), ours.cmd(list))
			continue
		}
		list := "nft list " + kind + " inet stack-shop " + s.Name + " | tr -d '{},=\t ' | sed s/^elements// | sort"
		same(t, theirs.cmd(list), ours.cmd(list))
	}

	// What nft made is recognised as intact by a Host that knows nothing.
	must(t, h.Close())
	other := theirs.open("shop")
	if changed, err := other.table.sync(want, other.generation); err != nil || changed {
		t.Errorf("the same table is written again: %v, %v", changed, err)
	}
}

func TestManyElements(t *testing.T) {
	l := newLab(t)
	h := l.open("shop")
	want := exampleRuleset()
	for i := range want.Sets {
		if want.Sets[i].Name != "publish4any" {
			continue
		}
		for port := range 3000 {
			want.Sets[i].Elements = append(want.Sets[i].Elements, element{Key: []string{"udp", strconv.Itoa(port + 10000), spread(0, 1)}, Data: []string{"172.16.0.2", "80"}})
		}
	}
	_, err := h.table.sync(want, h.generation)
	must(t, err)
	fresh := l.open("shop")
	if changed, err := fresh.table.sync(want, fresh.generation); err != nil || changed {
		t.Errorf("3000 ports are not read back as written: %v, %v", changed, err)
	}
	want.Sets[len(want.Sets)-3].Elements = nil
	if changed, err := fresh.table.sync(want, fresh.generation); err != nil || !changed {
		t.Errorf("%v, %v", changed, err)
	}
	if got := l.cmd("nft list map inet stack-shop publish4any"); strings.Contains(got, "udp") {
		t.Error("elements are left")
	}
}

package scheduler

import (
	"testing"

	"github.com/moby/sys/user"
)

func TestIDPool(t *testing.T) {
	for name, c := range map[string]struct {
		uids, gids []user.SubID
		taken      []idBlock
		want       uint32
		none       bool
	}{
		"nothing said":            {want: idFirst},
		"the first is taken":      {taken: []idBlock{{idFirst, idSize}}, want: idFirst + idSize},
		"a hole":                  {taken: []idBlock{{idFirst, idSize}, {idFirst + 2*idSize, idSize}}, want: idFirst + idSize},
		"others' lie elsewhere":   {uids: []user.SubID{{Name: "me", SubID: 100000, Count: 65536}}, want: idFirst},
		"others' reach into ours": {uids: []user.SubID{{Name: "me", SubID: idFirst - 10, Count: 11}}, want: idFirst + idSize},
		"others' gids, too":       {gids: []user.SubID{{Name: "me", SubID: idFirst + 5, Count: idSize}}, want: idFirst + 2*idSize},
		"others have them all":    {uids: []user.SubID{{Name: "me", SubID: 1 << 20, Count: 1 << 31}}, none: true},
		"ours": {uids: []user.SubID{{Name: "me", SubID: 100000, Count: 65536}, {Name: "stack", SubID: 200000, Count: 140000}},
			gids: []user.SubID{{Name: "stack", SubID: 200000, Count: 140000}}, want: 200000},
		"the second of ours": {uids: []user.SubID{{Name: "stack", SubID: 200000, Count: 140000}},
			gids: []user.SubID{{Name: "stack", SubID: 200000, Count: 140000}}, taken: []idBlock{{200000, idSize}}, want: 200000 + idSize},
		"ours are used up": {uids: []user.SubID{{Name: "stack", SubID: 200000, Count: 70000}},
			gids: []user.SubID{{Name: "stack", SubID: 200000, Count: 70000}}, taken: []idBlock{{200000, idSize}}, none: true},
		"of uids alone": {uids: []user.SubID{{Name: "stack", SubID: 200000, Count: 140000}}, want: idFirst},
		"too few":       {uids: []user.SubID{{Name: "stack", SubID: 1000, Count: 10}}, gids: []user.SubID{{Name: "stack", SubID: 1000, Count: 10}}, want: idFirst},
	} {
		p := newIDPool(c.uids, c.gids)
		p.taken = append(p.taken, c.taken...)
		if got, ok := p.free(idSize); got != c.want || ok == c.none {
			t.Errorf("%s: %d, %v", name, got, ok)
		}
	}
}

package spec

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

func sizePaths() [][]string {
	return [][]string{
		{"mem_limit"}, {"mem_reservation"}, {"memswap_limit"}, {"shm_size"},
		{"deploy", "resources", "limits", "memory"}, {"deploy", "resources", "reservations", "memory"},
	}
}

// checkSizes: amounts of memory can be parsed and are not negative.
func checkSizes(m *model, r *report) {
	for _, s := range m.enabled() {
		for _, path := range sizePaths() {
			checkSize(r, s.v.get(path...), last(path))
		}
		for _, item := range s.v.get("volumes").list() {
			checkSize(r, item.get("tmpfs", "size"), "size")
		}
		s.v.get("blkio_config").each(func(name string, list *value) {
			for _, item := range list.list() {
				checkSize(r, item.get("rate"), "rate")
			}
		})
	}
}

// checkSize: compose-go reads a fraction without a unit as 0, so it must be
// refused here.
func checkSize(r *report, v *value, name string) {
	if v == nil || v.kind != scalar {
		return
	}
	const hint = "write 512m, 2g, 64k or a number of bytes"
	var b types.UnitBytes
	if err := b.DecodeMapstructure(v.text()); err != nil || strings.TrimSpace(v.text()) == "" {
		r.add(v.at, "size", name+" cannot be "+quote(v)+": it is no size", hint)
		return
	}
	if _, fraction := v.data.(float64); fraction {
		r.add(v.at, "size", name+" cannot be a fraction of a byte", hint)
		return
	}
	if b < 0 && !(name == "memswap_limit" && b == -1) {
		r.add(v.at, "size", name+" cannot be negative", "")
	}
}

func quote(v *value) string { return "\"" + v.text() + "\"" }

package spec

import (
	"slices"
	"strconv"
)

// checkModes: file modes are numbers; those of secrets and configs may be octal
// text.
func checkModes(m *model, r *report) {
	for _, s := range m.enabled() {
		for _, item := range slices.Concat(s.v.get("secrets").list(), s.v.get("configs").list()) {
			v := item.get("mode")
			if text, ok := v.string(); ok {
				if n, err := strconv.ParseUint(text, 8, 32); err != nil || n > 0o7777 {
					r.add(v.at, "mode", quote(v)+" is no file mode", "write 0440")
				}
				continue
			}
			checkMode(r, v)
		}
		for _, item := range s.v.get("volumes").list() {
			checkMode(r, item.get("tmpfs", "mode"))
		}
	}
}

// checkMode takes integers only.
func checkMode(r *report, v *value) {
	if v == nil || v.kind != scalar {
		return
	}
	if n, ok := v.data.(int); !ok || n < 0 || n > 0o7777 {
		r.add(v.at, "mode", quote(v)+" is no file mode", "write 0440, without quotes")
	}
}

// string is the text of a string, and of nothing else.
func (v *value) string() (string, bool) {
	if v == nil {
		return "", false
	}
	s, ok := v.data.(string)
	return s, ok
}

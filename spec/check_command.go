package spec

import (
	"github.com/compose-spec/compose-go/v2/types"
)

// checkCommands: commands in one string can be split into words.
func checkCommands(m *model, r *report) {
	for _, s := range m.enabled() {
		for _, key := range []string{"command", "entrypoint"} {
			v := s.v.get(key)
			if v == nil || v.kind != scalar {
				continue
			}
			var words types.ShellCommand
			if err := words.DecodeMapstructure(v.text()); err != nil {
				r.add(v.at, "command", key+" cannot be split into words: "+err.Error(), "close the quotes, or write a list")
			}
		}
	}
}

package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/sys/signal"
)

// checkSignal: stop_signal is a signal's name or number.
func checkSignal(m *model, r *report) {
	for _, s := range m.enabled() {
		v := s.v.get("stop_signal")
		if v.text() == "" {
			continue
		}
		if _, err := signal.ParseSignal(v.text()); err != nil {
			var names []string
			for name := range signal.SignalMap {
				names = append(names, "SIG"+name)
			}
			slices.Sort(names)
			r.add(v.at, "signal", fmt.Sprintf("there is no signal %q", v.text()),
				DidYouMean("SIG"+strings.TrimPrefix(strings.ToUpper(v.text()), "SIG"), names))
		}
	}
}

package dns

import (
	"strings"
)

// Address is where every container finds the resolver.
const Address = "127.0.0.11"

// ResolvConf is a container's /etc/resolv.conf. Without an ndots among options
// names are first looked up as they are, so that services are found at once.
func ResolvConf(search, options []string) []byte {
	var b strings.Builder
	b.WriteString("nameserver " + Address + "\n")
	if words := fields(search); len(words) > 0 {
		b.WriteString("search " + strings.Join(words, " ") + "\n")
	}
	words := fields(options)
	if !hasNdots(words) {
		words = append([]string{"ndots:0"}, words...)
	}
	b.WriteString("options " + strings.Join(words, " ") + "\n")
	return []byte(b.String())
}

// fields splits at white space, so that nothing can begin a line of its own.
func fields(list []string) []string { return strings.Fields(strings.Join(list, " ")) }

func hasNdots(options []string) bool {
	for _, o := range options {
		if strings.HasPrefix(o, "ndots:") {
			return true
		}
	}
	return false
}

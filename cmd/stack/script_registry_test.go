package main

import (
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"stack/runtime/image/registry/registrytest"
)

// haveRegistry is the condition [registry]: what these scripts need is installed,
// as it must be in CI.
func haveRegistry() (bool, error) {
	return havePrograms("docker-registry", "htpasswd", "skopeo")
}

// startRegistry NAME [tls] [USER:PASSWORD] runs a registry until the script ends
// and sets NAME to its HOST:PORT, NAME_CA to its certificate.
func startRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || neg {
		ts.Fatalf("usage: registry NAME [tls] [USER:PASSWORD]")
	}
	var o registrytest.Options
	for _, arg := range args[1:] {
		if user, password, ok := strings.Cut(arg, ":"); ok {
			o.User, o.Password = user, password
		}
		o.TLS = o.TLS || arg == "tls"
	}
	dir, err := os.MkdirTemp(ts.Getenv("WORK"), "registry-")
	if err != nil {
		ts.Fatalf("%v", err)
	}
	s, err := registrytest.Launch(dir, o)
	if err != nil {
		ts.Fatalf("cannot start registry: %v", err)
	}
	ts.Defer(s.Close)
	ts.Setenv(args[0], s.Addr)
	ts.Setenv(args[0]+"_CA", s.CA)
}

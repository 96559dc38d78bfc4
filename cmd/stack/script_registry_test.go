package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"stack/runtime/image/registry/registrytest"
)

// haveRegistry is the condition [registry]: what these scripts need is installed,
// as it must be in CI.
func haveRegistry() (bool, error) {
	for _, p := range []string{"docker-registry", "htpasswd", "skopeo"} {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("STACK_TEST_STRICT") != "" {
				return false, fmt.Errorf("%s is needed; .ci/deps installs it", p)
			}
			return false, nil
		}
	}
	return true, nil
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

package cmdtest

import (
	"fmt"
	"os"
	"os/exec"
)

// Build compiles commands ("stack/cmd/NAME") into dir, statically, unless flags ask
// for the race detector, which needs C.
func Build(dir string, flags []string, commands ...string) error {
	args := append([]string{"build", "-o", dir + "/"}, flags...)
	build := exec.Command("go", append(args, commands...)...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	for _, f := range flags {
		if f == "-race" {
			build.Env = append(os.Environ(), "CGO_ENABLED=1")
		}
	}
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the binaries: %w\n%s", err, out)
	}
	return nil
}

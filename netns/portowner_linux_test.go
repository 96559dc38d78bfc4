package netns

import (
	"os"
	"path/filepath"
	"testing"
)

// Any user's process can hold a port, and be called what would steer a terminal.
func TestProcessNameIsPrintable(t *testing.T) {
	for _, c := range []struct{ comm, cmdline, want string }{
		{"nginx\n", "", "nginx (pid 12)"},
		{"\x1b]0;x\a\x1b[2J\n", "", "?]0;x??[2J (pid 12)"},
		{"stack-shim\n", "stack-shim\x00--project-name\x00web\x00", "stack project web (pid 12)"},
		{"stack-shim\n", "x\x00--project-name\x00\x1b[31m\x00", "stack project ?[31m (pid 12)"},
	} {
		dir := filepath.Join(t.TempDir(), "12")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"comm": c.comm, "cmdline": c.cmdline} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := processName(dir); got != c.want {
			t.Errorf("%q, %q: %q, want %q", c.comm, c.cmdline, got, c.want)
		}
	}
}

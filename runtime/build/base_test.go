package build_test

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// needRoot skips what needs the kernel's and Debian's help; in CI that is a failure.
func needRoot(t *testing.T) {
	t.Helper()
	why := ""
	if os.Geteuid() != 0 {
		why = "needs root"
	} else if _, err := exec.LookPath("busybox"); err != nil {
		why = "needs busybox; .ci/deps installs it"
	}
	if why == "" {
		return
	}
	if os.Getenv("STACK_TEST_STRICT") != "" {
		t.Fatal(why)
	}
	t.Skip("skipped: " + why)
}

// tarOf makes an archive of NAME=CONTENT words.
func tarOf(t *testing.T, words []string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, word := range words {
		name, text, _ := strings.Cut(word, "=")
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Uid: 5, Gid: 6, Size: int64(len(text))})
		w.Write([]byte(text))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

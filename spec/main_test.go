package spec

import (
	"io"
	"os"
	"testing"

	"github.com/sirupsen/logrus"
)

// TestMain does as a program that wants a clean stderr.
func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard)
	os.Exit(m.Run())
}

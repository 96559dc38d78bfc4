package build

import (
	"path/filepath"
	"strings"
)

// SocketName is that of the server's socket in RunDir.
const SocketName = "sock"

// RunDir is where the server's socket is.
func RunDir(m Machine) string { return filepath.Join(m.Run, ".build") }

// Dir is the server's directory.
func Dir(m Machine) string { return filepath.Join(m.Lib, "build") }

// targetPrefix marks a context that is another Request of the Job.
const targetPrefix = "target:"

// TargetService is the service whose image a context is.
func TargetService(context string) (string, bool) { return strings.CutPrefix(context, targetPrefix) }

// TargetContext is the context that is a service's image.
func TargetContext(service string) string { return targetPrefix + service }

// IsRemote says whether BuildKit fetches a context, rather than be sent a directory.
func IsRemote(context string) bool {
	for _, scheme := range []string{"http://", "https://", "git://", "ssh://", "docker-image://", "oci-layout://"} {
		if strings.HasPrefix(context, scheme) {
			return true
		}
	}
	return strings.HasPrefix(context, "git@") || strings.HasPrefix(context, "github.com/")
}

package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"

	"github.com/compose-spec/compose-go/v2/types"
)

// object is a secret or config that a service refers to.
type object struct {
	id string // secrets/KEY or configs/KEY
	types.FileObjectConfig
}

func objectsOf(p *types.Project, s types.ServiceConfig) []object {
	var out []object
	for _, r := range s.Secrets {
		out = append(out, object{"secrets/" + r.Source, types.FileObjectConfig(p.Secrets[r.Source])})
	}
	for _, r := range s.Configs {
		out = append(out, object{"configs/" + r.Source, types.FileObjectConfig(p.Configs[r.Source])})
	}
	return out
}

// fileDigests reads the files that the services' secrets and configs come from.
func fileDigests(p *types.Project) map[string]string {
	var out map[string]string
	for _, s := range p.AllServices() {
		for _, o := range objectsOf(p, s) {
			if o.File == "" || out[o.id] != "" {
				continue
			}
			if digest, ok := fileDigest(p, o.File); ok {
				if out == nil {
					out = map[string]string{}
				}
				out[o.id] = digest
			}
		}
	}
	return out
}

// fileDigest is the digest of a regular file; what else there may be is another
// rule's to tell.
func fileDigest(p *types.Project, path string) (string, bool) {
	path = Absolute(p.WorkingDir, path)
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return "", false
	}
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", false
	}
	return hex.EncodeToString(h.Sum(nil)), true
}

// digest stands for an object's content in a service's hash.
func (s *Stack) digest(o object) string {
	switch {
	case bool(o.External):
		return ""
	case o.File != "":
		return s.Digests[o.id]
	}
	sum := sha256.Sum256([]byte(o.Content))
	return hex.EncodeToString(sum[:])
}

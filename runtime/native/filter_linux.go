package native

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/native/seccomp"
)

// filterCache keeps the last compiled profile: replicas share one.
type filterCache struct {
	mu   sync.Mutex
	key  [sha256.Size]byte
	last *filter
}

// compile returns nil for no profile.
func (c *filterCache) compile(profile *specs.LinuxSeccomp) (*filter, error) {
	if profile == nil {
		return nil, nil
	}
	text, err := json.Marshal(profile)
	if err != nil {
		return nil, fmt.Errorf("cannot encode seccomp profile: %w", err)
	}
	key := sha256.Sum256(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && c.key == key {
		return c.last, nil
	}
	compiled, err := seccomp.Compile(profile)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, compiled.Prog); err != nil {
		return nil, fmt.Errorf("cannot encode seccomp filter: %w", err)
	}
	c.key, c.last = key, &filter{Program: b.Bytes(), Flags: compiled.Flags}
	return c.last, nil
}

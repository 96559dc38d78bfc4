package native

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/native/seccomp"
)

// filterCache keeps the last compiled profile: replicas share one.
type filterCache struct {
	mu      sync.Mutex
	profile *specs.LinuxSeccomp // which was given last
	key     string              // its text
	last    *filter
}

// compile returns nil for no profile. A profile is not changed once it was given:
// where replicas share even the pointer, their text is not compared.
func (c *filterCache) compile(profile *specs.LinuxSeccomp) (*filter, error) {
	if profile == nil {
		return nil, nil
	}
	if same := c.given(profile); same != nil {
		return same, nil
	}
	text, err := json.Marshal(profile)
	if err != nil {
		return nil, fmt.Errorf("cannot encode seccomp profile: %w", err)
	}
	key := string(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.profile = profile
	if c.last != nil && c.key == key {
		return c.last, nil
	}
	c.last = nil
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

// given is the filter of the very profile that was compiled last.
func (c *filterCache) given(profile *specs.LinuxSeccomp) *filter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.profile != profile {
		return nil
	}
	return c.last
}

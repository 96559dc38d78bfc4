package scheduler

import (
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/image"
)

// shared is what containers that start together have in common: computed for the
// first, kept while one command stands. The next command looks at everything anew,
// since the files of a rootfs:PATH image may change at will.
type shared struct {
	mu       sync.Mutex
	accounts map[string]account
	profiles map[string]*Seccomp // not to be changed: many specifications point to one
}

// account is who a container runs as, in the words of its image's /etc/passwd.
type account struct {
	user   specs.User
	home   string
	groups map[string]uint32 // of group_add
}

func newShared() *shared {
	return &shared{accounts: map[string]account{}, profiles: map[string]*Seccomp{}}
}

// account finds the user and the further groups in the image.
func (s *shared) account(img image.Image, user string, groups []string) (account, error) {
	key := strings.Join(slices.Concat([]string{img.Digest, user}, img.Layers, []string{""}, groups), "\x00")
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.accounts[key]
	if !ok {
		var err error
		if a, err = lookUp(img, user, groups); err != nil {
			return a, err
		}
		s.accounts[key] = a
	}
	return a, nil
}

func lookUp(img image.Image, user string, groups []string) (a account, err error) {
	if a.user, a.home, err = image.LookupUser(img, user, nil); err != nil {
		return a, err
	}
	a.groups, err = image.LookupGroups(img, groups)
	return a, err
}

// seccomp gives the default profiles that build makes; nil when there is no build.
func (s *shared) seccomp(build func(caps []string) (*Seccomp, error)) func(caps []string) (*Seccomp, error) {
	if build == nil {
		return nil
	}
	return func(caps []string) (*Seccomp, error) {
		key := strings.Join(caps, " ")
		s.mu.Lock()
		defer s.mu.Unlock()
		if p, ok := s.profiles[key]; ok {
			return p, nil
		}
		p, err := build(caps)
		if err == nil {
			s.profiles[key] = p
		}
		return p, err
	}
}

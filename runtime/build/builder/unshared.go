package builder

import (
	"context"
	"reflect"
	"slices"
	"sync"

	"github.com/moby/buildkit/executor"
)

// unshared gives a snapshot's own mounts. BuildKit mounts an overlay that is written
// to on its side, so that several steps may share it, and hands out a bind of that:
// a bind of an overlay cannot be id-mapped, and we mount snapshots inside containers
// only. What its wrapper (cache.sharableMountable, of which there is no other way to
// know) wraps is an embedded, exported field. TestDockerfiles/run_owner tells when
// another version of BuildKit has it differently.
func unshared(m executor.MountableRef) executor.MountableRef {
	for {
		v := reflect.Indirect(reflect.ValueOf(m))
		if v.Kind() != reflect.Struct {
			return m
		}
		field := v.FieldByName("Mountable")
		if !field.IsValid() || !field.CanInterface() {
			return m
		}
		inner, ok := field.Interface().(executor.MountableRef)
		if !ok || inner == nil {
			return m
		}
		m = inner
	}
}

// locks keep steps apart that write to the same overlay, which overlayfs does not
// let two mounts do.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{}
}

// take locks all keys, in one order for everybody, until release is called.
func (l *locks) take(ctx context.Context, keys []string) (release func() error, err error) {
	var mine []string
	release = func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, k := range mine {
			close(l.held[k])
			delete(l.held, k)
		}
		return nil
	}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(keys))) {
		for !l.try(k) {
			l.mu.Lock()
			busy := l.held[k]
			l.mu.Unlock()
			if busy == nil {
				continue
			}
			select {
			case <-busy:
			case <-ctx.Done():
				release()
				return nil, context.Cause(ctx)
			}
		}
		mine = append(mine, k)
	}
	return release, nil
}

func (l *locks) try(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]chan struct{}{}
	}
	if l.held[key] != nil {
		return false
	}
	l.held[key] = make(chan struct{})
	return true
}

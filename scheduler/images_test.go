package scheduler

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stack/runtime/image"
)

const pictures = `
services:
  web:
    image: rootfs:/img
    command: [web]
    network_mode: none
    volumes: [{type: image, source: "rootfs:/other", target: /other}]
`

type closer func()

func (c closer) Close() error { c(); return nil }

// Images stay until their layers are mounted, and by then they are known to be in use.
func TestImagesStayWhileTheyAreMounted(t *testing.T) {
	b := newBench(t)
	var kept atomic.Int32
	b.keeping = func(imgs []image.Image) (io.Closer, error) {
		all, err := b.store.Layout.Containers(time.Now())
		if err != nil || len(all) != 1 {
			t.Errorf("containers %v, %v", all, err)
			return nil, image.ErrNotFound
		}
		layers, err := all[0].Layers()
		for _, img := range imgs {
			if err != nil || !slices.Contains(layers, img.Layers[0]) {
				t.Errorf("%s is not known to be in use, but %q, %v", img.Ref, layers, err)
			}
		}
		kept.Add(int32(len(imgs)))
		return closer(func() { kept.Store(0) }), nil
	}
	b.starting = func(string) {
		if n := kept.Load(); n != 2 {
			t.Errorf("%d images are kept during the start", n)
		}
	}
	st := loadStack(t, pictures)
	if err := b.do(Command{Verb: VerbUp}, st); err != nil {
		t.Fatal(err)
	}
	if n := kept.Load(); n != 0 {
		t.Errorf("%d images are kept for ever", n)
	}
	b.set(func() {
		b.keeping = func([]image.Image) (io.Closer, error) {
			return nil, fmt.Errorf("img was removed meanwhile: %w", image.ErrNotFound)
		}
	})
	if err := b.do(Command{Verb: VerbRestart}, nil); err == nil || !strings.Contains(err.Error(), "removed meanwhile") {
		t.Errorf("restart: %v", err)
	}
}

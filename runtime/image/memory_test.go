package image

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// streamRemote reads from the disk as it serves: what grows is the client.
type streamRemote struct{ *fakeRemote }

func (f streamRemote) Fetch(_ context.Context, _ string, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	file, err := os.Open(filepath.Join(f.dir, "blobs", "sha256", d.Digest.Encoded()))
	if err == nil {
		_, err = file.Seek(offset, io.SeekStart)
	}
	return file, err
}

// TestPullMemory: a pull holds buffers, never layers.
func TestPullMemory(t *testing.T) {
	needRoot(t)
	const layers, size, bound = 6, 24 << 20, 48 << 20
	l := newLayout(t)
	var tars [][]byte
	for i := range layers {
		tars = append(tars, makeTar(t, file("big"+string(rune('a'+i)), noise(size))))
	}
	m := l.image(`{}`, tars...)
	from := streamRemote{newRemote(l, map[string]v1.Descriptor{testRef: m})}
	s := testStore(t)
	tars = nil
	debug.FreeOSMemory()

	before, stop, peak := held(), make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		for tick := time.NewTicker(2 * time.Millisecond); ; <-tick.C {
			most = max(most, held())
			select {
			case <-stop:
				peak <- most
				return
			default:
			}
		}
	}()
	mustPull(t, s, from, testRef)
	close(stop)
	if most := <-peak; most > before+bound {
		t.Errorf("pulling %d MB held %d MB, want below %d", layers*size>>20, (most-before)>>20, bound>>20)
	}
}

// held is the heap memory that the process has from the kernel.
func held() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys - m.HeapReleased
}

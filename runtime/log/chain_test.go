package log

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Rotations between the reader's looks neither hide files nor change their order.
func TestScanAcrossRotations(t *testing.T) {
	for name, c := range map[string]struct {
		before map[int]func(*numbered) // the look of that number
		want   string
	}{
		"gaps of two look like the end": {map[int]func(*numbered){
			2: func(f *numbered) { f.up(3, 2, 1) },
			3: func(f *numbered) { f.up(0); f.create(0, "e"); f.up(4, 3, 2) },
		}, "abcd"},
		"newer files come after one met": {map[int]func(*numbered){
			2: func(f *numbered) {
				f.up(3, 2, 1, 0)
				f.create(0, "e")
				f.up(4, 3, 2, 1, 0)
				f.create(0, "f")
			},
		}, "abcde"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &numbered{t, filepath.Join(t.TempDir(), "a.log")}
			for n, text := range []string{"d", "c", "b", "a"} {
				f.create(n, text)
			}
			looks := 0
			files, err := scan(f.path, nil, func(name string) (*os.File, fs.FileInfo, error) {
				looks++
				if rotate := c.before[looks]; rotate != nil {
					rotate(f)
				}
				return openLog(name)
			})
			if err != nil {
				t.Fatal(err)
			}
			defer closeAll(files)
			var got []byte
			for _, file := range files {
				b, err := io.ReadAll(file)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, b...)
			}
			if string(got) != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// numbered are the files of a log at path.
type numbered struct {
	t    *testing.T
	path string
}

func (f *numbered) create(n int, text string) {
	if err := os.WriteFile(rotated(f.path, n), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// up moves files as a rotation does.
func (f *numbered) up(from ...int) {
	for _, n := range from {
		if err := os.Rename(rotated(f.path, n), rotated(f.path, n+1)); err != nil {
			f.t.Fatal(err)
		}
	}
}

// A writer that died between giving its file away and making the next leaves no
// current file: that is no reason to look on for ever.
func TestScanWithoutACurrentFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	for n, want := range []int{0, 1, 2} {
		if n > 0 {
			if err := os.WriteFile(rotated(path, n), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		files, err := openChain(path, nil)
		if err != nil || len(files) != want {
			t.Errorf("got %d files, %v; want %d", len(files), err, want)
		}
		closeAll(files)
	}
}

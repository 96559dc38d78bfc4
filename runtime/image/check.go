package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Check says, without unpacking or fetching anything, whether a reference can lead
// to an image: its form is known and a path exists. Errors: ErrNotFound, wrapped.
func Check(ref string) error {
	r, err := parseReference(ref)
	if err != nil {
		return fmt.Errorf("cannot resolve image %q: %w", ref, err)
	}
	if !r.isPath() {
		return nil
	}
	st, err := os.Stat(r.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s does not exist", ErrNotFound, r.path)
	case err != nil:
		return fmt.Errorf("cannot resolve image %q: %w", ref, err)
	case r.scheme == schemeArchive && st.IsDir():
		return fmt.Errorf("%w: %s is a directory, an archive is wanted", ErrNotFound, r.path)
	case r.scheme != schemeArchive && !st.IsDir():
		return fmt.Errorf("%w: %s is not a directory", ErrNotFound, r.path)
	}
	return nil
}

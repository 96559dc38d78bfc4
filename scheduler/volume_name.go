package scheduler

import (
	"fmt"

	"stack/spec"
)

// CheckName refuses what may not name a volume or network (kind says which): a
// name becomes part of a path.
func CheckName(kind, name string) error {
	if !spec.ObjectName(name) {
		return fmt.Errorf("%q cannot name a %s: letters, digits, _, . and - are allowed, the first a letter or digit", name, kind)
	}
	return nil
}

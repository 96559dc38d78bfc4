package scheduler

import (
	"fmt"
	"regexp"
)

var objectName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$`)

// CheckName refuses what may not name a volume or network (kind says which): a
// name becomes part of a path.
func CheckName(kind, name string) error {
	if !objectName.MatchString(name) {
		return fmt.Errorf("%q cannot name a %s: letters, digits, _, . and - are allowed, the first a letter or digit", name, kind)
	}
	return nil
}

package spec

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// rawFormat is env_file's format of `docker run --env-file`: what follows the first
// "=" is the value, with quotes, spaces and "#".
const rawFormat = "raw"

// registerFormats makes compose-go, which has no format but its own, read raw files.
var registerFormats = sync.OnceFunc(func() { dotenv.RegisterFormat(rawFormat, readRaw) })

// readRaw has dotenv.Parser's shape. A name alone takes its value from lookup, or
// is left out.
func readRaw(in io.Reader, filename string, vars map[string]string, lookup func(string) (string, bool)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxFile)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimLeftFunc(lines.Text(), unicode.IsSpace)
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, given := strings.Cut(line, "=")
		switch {
		case name == "":
			return fmt.Errorf("failed to read %s: line %d: a variable has no name", filename, n)
		case strings.ContainsFunc(name, unicode.IsSpace):
			return fmt.Errorf("failed to read %s: line %d: key cannot contain a space", filename, n)
		case !given && lookup != nil:
			value, given = lookup(name)
		}
		if given {
			vars[name] = value
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("failed to read %s: %w", filename, err)
	}
	return nil
}

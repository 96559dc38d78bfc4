package watch

import (
	"regexp"
	"strings"
)

// gitRule is one line of a .gitignore file, as gitignore(5) has it.
type gitRule struct {
	not, dirOnly bool
	pattern      *regexp.Regexp // about names below the file's directory
}

func (r gitRule) match(name string, dir bool) bool {
	return (dir || !r.dirOnly) && r.pattern.MatchString(name)
}

// parseGitRule is false for a line that says nothing.
func parseGitRule(line string) (gitRule, bool) {
	line = trimSpaces(strings.TrimSuffix(strings.TrimPrefix(line, "\ufeff"), "\r"))
	if line == "" || line[0] == '#' {
		return gitRule{}, false
	}
	var r gitRule
	line, r.not = strings.CutPrefix(line, "!")
	line, r.dirOnly = strings.CutSuffix(line, "/")
	anchored := strings.Contains(line, "/")
	text, ok := gitPattern(strings.TrimPrefix(line, "/"))
	if !ok || line == "" {
		return r, false
	}
	if !anchored {
		text = "(?:.*/)?" + text
	}
	var err error
	r.pattern, err = regexp.Compile("^(?s:" + text + ")$")
	return r, err == nil
}

// trimSpaces takes trailing spaces off, but for one that a backslash keeps.
func trimSpaces(line string) string {
	short := strings.TrimRight(line, " ")
	if slashes := len(short) - len(strings.TrimRight(short, `\`)); slashes%2 == 1 && len(short) < len(line) {
		return short + " "
	}
	return short
}

// gitPattern is a pattern as a regular expression; false for one that is broken and
// matches nothing.
func gitPattern(p string) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(p); i++ {
		begins := i == 0 || p[i-1] == '/'
		switch rest := p[i:]; {
		case begins && rest == "**":
			out.WriteString(".+")
			return out.String(), true
		case begins && strings.HasPrefix(rest, "**/"):
			out.WriteString("(?:.*/)?")
			i += 2
		case p[i] == '*':
			out.WriteString("[^/]*")
		case p[i] == '?':
			out.WriteString("[^/]")
		case p[i] == '[':
			class, length := gitClass(rest)
			if length == 0 {
				return "", false
			}
			out.WriteString(class)
			i += length - 1
		case p[i] == '\\':
			if i++; i == len(p) {
				return "", false
			}
			out.WriteString(regexp.QuoteMeta(p[i : i+1]))
		default:
			out.WriteString(regexp.QuoteMeta(p[i : i+1]))
		}
	}
	return out.String(), true
}

// gitClass is the bracket expression that p begins with, and how long it is there; 0
// when it has no end.
func gitClass(p string) (string, int) {
	i, out := 1, "["
	if strings.HasPrefix(p[i:], "!") || strings.HasPrefix(p[i:], "^") {
		i, out = i+1, "[^/"
	}
	for first := i; i < len(p); i++ {
		switch {
		case p[i] == ']' && i > first:
			return out + "]", i + 1
		case strings.HasPrefix(p[i:], "[:"):
			end := strings.Index(p[i:], ":]")
			if end < 0 {
				return "", 0
			}
			out += p[i : i+end+2]
			i += end + 1
		case p[i] == '\\' && i+1 < len(p):
			i++
			out += regexp.QuoteMeta(p[i : i+1])
		case p[i] == '-' && i > first && i+1 < len(p) && p[i+1] != ']':
			out += "-"
		case p[i] >= 0x80:
			out += p[i : i+1] // a part of a longer character
		default:
			out += `\x` + hex(p[i])
		}
	}
	return "", 0
}

func hex(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

var (
	yamlMark      = regexp.MustCompile(`line (\d+)(?:, column (\d+))?: `)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.+)' referenced`)
)

// syntax reports an error of the YAML parser. yaml.v3 knows the line at best, so
// the parser that compose-go uses is asked for the place as well.
func (r *report) syntax(f *origin, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	at := place{from: f}
	if m := yamlMark.FindStringSubmatch(message); m != nil {
		message = message[strings.Index(message, m[0])+len(m[0]):]
		at.line, _ = strconv.Atoi(m[1])
	}
	if m := unknownAnchor.FindStringSubmatch(message); m != nil {
		start := &value{at: place{from: f, line: 1, col: 1}}
		at = start.find("*", m[1])
	} else if line, col, ok := syntaxPlace(f.file.text); ok {
		at.line, at.col = line, col
	}
	row := f.file.line(at.line)
	if at.col == 0 && at.line > 0 {
		at.col = len(row) - len(strings.TrimLeft(row, " \t")) + 1
	}
	hint := ""
	if strings.Contains(row, "\t") && strings.Contains(message, "token") {
		hint = "YAML does not allow tabs for indentation"
	}
	r.add(at, "yaml-syntax", message, hint)
}

// syntaxPlace is where yaml v4 stops. It counts the lines of its scanner from 1
// and those of its parser from 0, leaving out a 0.
func syntaxPlace(text []byte) (line, col int, ok bool) {
	var n yaml.Node
	err := guard("parse", func() error { return yaml.Unmarshal(text, &n) })
	if err == nil {
		return 0, 0, false
	}
	marks := yamlMark.FindAllStringSubmatch(err.Error(), -1)
	if len(marks) == 0 {
		return 0, 0, false
	}
	m := marks[len(marks)-1]
	if strings.HasSuffix(err.Error(), "end of stream") {
		m = marks[0] // where the unclosed string begins
	}
	line, _ = strconv.Atoi(m[1])
	col, _ = strconv.Atoi(m[2])
	if strings.HasSuffix(fmt.Sprintf("%T", err), "ParserError") {
		line++
	}
	return line, col, true
}

package log

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// MaxText is the longest text of one entry in bytes; longer lines are split.
const MaxText = 16 << 10

// timeFormat is RFC 3339 with all nine digits, so that entries sort as text.
const timeFormat = "2006-01-02T15:04:05.000000000Z07:00"

// maxHeader bounds the bytes before the text: time, stream, tag, three spaces.
const maxHeader = len(timeFormat) + len("stdout") + len("F") + 3

// Entry is one line of a log file.
type Entry struct {
	Time   time.Time
	Stream string // "stdout" or "stderr"
	// Partial tells that the line goes on in the stream's next entry.
	Partial bool
	Text    string // without line end; any bytes but a newline
}

var errMalformed = errors.New("malformed log line")

// appendEntry appends the line for text, line end included.
func appendEntry(b []byte, stamp []byte, stream string, partial bool, text []byte) []byte {
	b = append(b, stamp...)
	b = append(b, ' ')
	b = append(b, stream...)
	if partial {
		b = append(b, " P "...)
	} else {
		b = append(b, " F "...)
	}
	b = append(b, text...)
	return append(b, '\n')
}

// ParseLine parses one line of a log file, with or without its newline. Tags
// after the first, separated by ':', are ignored as the format demands.
func ParseLine(line []byte) (Entry, error) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	stamp, rest, ok1 := bytes.Cut(line, []byte{' '})
	stream, rest, ok2 := bytes.Cut(rest, []byte{' '})
	tags, text, _ := bytes.Cut(rest, []byte{' '})
	if !ok1 || !ok2 || bytes.IndexByte(text, '\n') >= 0 {
		return Entry{}, errMalformed
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return Entry{}, fmt.Errorf("%w: bad time %q", errMalformed, stamp)
	}
	e := Entry{Time: at, Text: string(text)}
	switch string(stream) {
	case "stdout":
		e.Stream = "stdout"
	case "stderr":
		e.Stream = "stderr"
	default:
		return Entry{}, fmt.Errorf("%w: bad stream %q", errMalformed, stream)
	}
	switch tag, _, _ := bytes.Cut(tags, []byte{':'}); string(tag) {
	case "F":
	case "P":
		e.Partial = true
	default:
		return Entry{}, fmt.Errorf("%w: bad tag %q", errMalformed, tags)
	}
	return e, nil
}

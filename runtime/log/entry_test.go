package log

import (
	"bytes"
	"testing"
	"time"
)

func TestParseLine(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC)
	good := map[string]Entry{
		"2026-11-23T10:00:00.123456789Z stdout F text":               {Time: at, Stream: "stdout", Text: "text"},
		"2026-11-23T10:00:00.123456789Z stderr P  two  spaces \n":    {Time: at, Stream: "stderr", Partial: true, Text: " two  spaces "},
		"2026-11-23T10:00:00.123456789Z stdout F ":                   {Time: at, Stream: "stdout"},
		"2026-11-23T10:00:00.123456789Z stdout F":                    {Time: at, Stream: "stdout"},
		"2026-11-23T11:00:00.123456789+01:00 stdout P:later x\r\x00": {Time: at, Stream: "stdout", Partial: true, Text: "x\r\x00"},
	}
	for line, want := range good {
		got, err := ParseLine([]byte(line))
		if err != nil || !got.Time.Equal(want.Time) {
			t.Errorf("%q: %v, %v", line, got, err)
		}
		got.Time = want.Time
		if got != want {
			t.Errorf("%q: got %+v, want %+v", line, got, want)
		}
	}
	for _, line := range []string{
		"", "\n", " ", "x stdout F y", "2026-11-23T10:00:00Z", "2026-11-23T10:00:00Z stdout",
		"2026-11-23T10:00:00Z stdin F x", "2026-11-23T10:00:00Z stdout Q x",
		"2026-11-23T10:00:00Z stdout F a\nb",
	} {
		if e, err := ParseLine([]byte(line)); err == nil {
			t.Errorf("%q parsed as %+v", line, e)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte("2026-11-23T10:00:00.123456789Z stdout F text"))
	f.Add([]byte("2026-11-23T11:00:00+01:00 stderr P:x \x00\n"))
	f.Add([]byte("2026-11-2"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := ParseLine(line)
		if err != nil {
			return
		}
		stamp := e.Time.UTC().AppendFormat(nil, timeFormat)
		again := appendEntry(nil, stamp, e.Stream, e.Partial, []byte(e.Text))
		if bytes.Count(again, []byte{'\n'}) != 1 {
			t.Fatalf("text with a newline: %q", line)
		}
		back, err := ParseLine(again)
		if err != nil || !back.Time.Equal(e.Time) || back.Stream != e.Stream ||
			back.Partial != e.Partial || back.Text != e.Text {
			t.Fatalf("%q: %+v became %+v, %v", line, e, back, err)
		}
	})
}

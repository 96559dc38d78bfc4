package native

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"stack/runtime/native/stub"
)

// encode is json.Marshal(r). That looks at every type that a record could come to hold
// before it writes the first, which is a twentieth of the time of `oci run`; here it is
// asked for what is hardly ever there.
func (r *record) encode() ([]byte, error) {
	e := encoder{text: make([]byte, 0, 4096)}
	e.text = append(e.text, '{')
	e.number("Version", uint64(r.Version), true)
	e.string("ID", r.ID, true)
	e.other("Created", r.Created.Format(`"2006-01-02T15:04:05.999999999Z07:00"`))
	e.string("Bundle", r.Bundle, false)
	e.string("Cgroup", r.Cgroup, true)
	e.rare("Annotations", r.Annotations, len(r.Annotations))
	e.number("Pid", uint64(r.Pid), false)
	e.number("StartTime", r.StartTime, false)
	e.number("Control", r.Control, false)
	e.number("Listener", r.Listener, false)
	e.number("ExtraFiles", uint64(r.ExtraFiles), false)
	e.steps(r.Steps)
	e.number("Namespaces", uint64(r.Namespaces), false)
	if r.UserNS {
		e.other("UserNS", "true")
	}
	e.rare("UIDs", r.UIDs, len(r.UIDs))
	e.rare("GIDs", r.GIDs, len(r.GIDs))
	if f := r.Filter; f != nil {
		e.other("Filter", `{"Program":"`+base64.StdEncoding.EncodeToString(f.Program)+
			`","Flags":`+strconv.FormatUint(uint64(f.Flags), 10)+"}")
	}
	if r.OOMScoreAdj != nil {
		e.other("OOMScoreAdj", strconv.Itoa(*r.OOMScoreAdj))
	}
	if r.Affinity != nil {
		e.rare("Affinity", r.Affinity, 1)
	}
	e.rare("Poststart", r.Poststart, len(r.Poststart))
	e.rare("Poststop", r.Poststop, len(r.Poststop))
	return append(e.text, '}'), e.err
}

// encoder writes the members of a JSON object.
type encoder struct {
	text []byte
	err  error // the first
}

func (e *encoder) key(name string) {
	if e.text[len(e.text)-1] != '{' {
		e.text = append(e.text, ',')
	}
	e.text = append(e.text, '"')
	e.text = append(e.text, name...)
	e.text = append(e.text, `":`...)
}

func (e *encoder) other(name, value string) {
	e.key(name)
	e.text = append(e.text, value...)
}

func (e *encoder) number(name string, n uint64, always bool) {
	if n != 0 || always {
		e.key(name)
		e.text = strconv.AppendUint(e.text, n, 10)
	}
}

func (e *encoder) string(name, s string, always bool) {
	if s != "" || always {
		e.key(name)
		e.quote(s)
	}
}

// rare leaves a value with so many parts to encoding/json.
func (e *encoder) rare(name string, v any, parts int) {
	if parts > 0 {
		e.key(name)
		e.marshal(v)
	}
}

func (e *encoder) marshal(v any) {
	text, err := json.Marshal(v)
	if e.err == nil {
		e.err = err
	}
	e.text = append(e.text, text...)
}

func (e *encoder) steps(t stub.Table) {
	if len(t) == 0 {
		return
	}
	e.key("Steps")
	e.text = append(e.text, '[')
	for i, one := range t {
		if i > 0 {
			e.text = append(e.text, ',')
		}
		e.text = append(e.text, '{')
		e.number("From", one.From, true)
		e.string("Do", one.Do, true)
		e.text = append(e.text, '}')
	}
	e.text = append(e.text, ']')
}

// quote writes a string, by itself if it is plain.
func (e *encoder) quote(s string) {
	special := func(c rune) bool { return c < ' ' || c > '~' || strings.ContainsRune(`"\<>&`, c) }
	if strings.ContainsFunc(s, special) {
		e.marshal(s)
		return
	}
	e.text = append(e.text, '"')
	e.text = append(e.text, s...)
	e.text = append(e.text, '"')
}

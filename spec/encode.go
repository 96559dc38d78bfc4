package spec

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/compose-spec/compose-go/v2/types"
)

// encodeVersion changes when an older Decode could not read the result.
const encodeVersion = 1

// envelope is the stored form of a stack: JSON, with every exported field of the
// project by its Go name. compose-go's own marshalling cannot be used: it drops
// the content of secrets, the environment and the working directory, and writes
// several types in a form it does not read. The document holds secrets: files of
// it are 0600.
type envelope struct {
	Version  int               `json:"version"`
	Project  json.RawMessage   `json:"project"`
	Digests  map[string]string `json:"digests,omitempty"`
	Files    []File            `json:"files,omitempty"`
	Sources  []File            `json:"sources,omitempty"`
	Warnings Diagnostics       `json:"warnings,omitempty"`
}

// Encode gives a stack's stored form. Positions are dropped.
func Encode(s *Stack) ([]byte, error) {
	project, err := encodeValue(reflect.ValueOf(s.Project).Elem())
	if err != nil {
		return nil, fmt.Errorf("cannot encode stack: %w", err)
	}
	return json.Marshal(envelope{Version: encodeVersion, Project: project, Digests: s.Digests, Files: s.Files, Sources: s.Sources, Warnings: s.Warnings})
}

// Decode reads what Encode wrote, without checking it again. A document of a
// newer stack that has what this one does not know is an error.
func Decode(text []byte) (*Stack, error) {
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return nil, fmt.Errorf("cannot decode stack: %w", err)
	}
	if e.Version != encodeVersion {
		return nil, fmt.Errorf("cannot decode stack: version %d, this program reads %d", e.Version, encodeVersion)
	}
	s := &Stack{Project: &types.Project{}, Digests: e.Digests, Files: e.Files, Sources: e.Sources, Warnings: e.Warnings}
	if err := decodeValue(e.Project, reflect.ValueOf(s.Project).Elem()); err != nil {
		return nil, fmt.Errorf("cannot decode stack: %w", err)
	}
	return s, nil
}

package spec

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/compose-spec/compose-go/v2/types"
)

// EncodeService gives the stored form of one service, as Encode does of a stack.
// A service names its secrets, it does not hold them; its environment is in it.
func EncodeService(s types.ServiceConfig) (json.RawMessage, error) {
	text, err := encodeValue(reflect.ValueOf(s))
	if err != nil {
		return nil, fmt.Errorf("cannot encode service %q: %w", s.Name, err)
	}
	return text, nil
}

// DecodeService reads what EncodeService wrote.
func DecodeService(text json.RawMessage) (types.ServiceConfig, error) {
	var s types.ServiceConfig
	if err := decodeValue(text, reflect.ValueOf(&s).Elem()); err != nil {
		return s, fmt.Errorf("cannot decode service: %w", err)
	}
	return s, nil
}

package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// decodeValue reads what encodeValue wrote into v.
func decodeValue(text []byte, v reflect.Value) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := read(dec, v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("data after the end")
	}
	return nil
}

func read(dec *json.Decoder, v reflect.Value) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	return readFrom(dec, token, v)
}

// readFrom reads the value that begins with token.
func readFrom(dec *json.Decoder, token json.Token, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Interface:
		x, err := readAny(dec, token)
		if x != nil {
			v.Set(reflect.ValueOf(x))
		}
		return err
	case reflect.Pointer:
		if token == nil {
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		return readFrom(dec, token, v.Elem())
	case reflect.Struct:
		return members(dec, token, func(name string) error {
			field, ok := v.Type().FieldByName(name)
			if !ok || !field.IsExported() {
				return fmt.Errorf("%s.%s is not known to this version of stack", v.Type().Name(), name)
			}
			return read(dec, v.FieldByIndex(field.Index))
		})
	case reflect.Map:
		return readMap(dec, token, v)
	case reflect.Slice:
		return readSlice(dec, token, v)
	}
	return readScalar(token, v)
}

// members calls f for each member of an object, after its name was read.
func members(dec *json.Decoder, token json.Token, f func(name string) error) error {
	if token != json.Delim('{') {
		return fmt.Errorf("an object is wanted, not %v", token)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		if err := f(disarm(name.(string))); err != nil { // the decoder allows no other key
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func readMap(dec *json.Decoder, token json.Token, v reflect.Value) error {
	if token == nil {
		return nil
	}
	v.Set(reflect.MakeMap(v.Type()))
	return members(dec, token, func(name string) error {
		member := reflect.New(v.Type().Elem()).Elem()
		if err := read(dec, member); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), member)
		return nil
	})
}

func readSlice(dec *json.Decoder, token json.Token, v reflect.Value) error {
	if token == nil {
		return nil
	}
	if token != json.Delim('[') {
		return fmt.Errorf("a list is wanted, not %v", token)
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for dec.More() {
		item := reflect.New(v.Type().Elem()).Elem()
		if err := read(dec, item); err != nil {
			return err
		}
		v.Set(reflect.Append(v, item))
	}
	_, err := dec.Token()
	return err
}

func readScalar(token json.Token, v reflect.Value) error {
	var err error
	switch x := token.(type) {
	case string:
		if v.Kind() == reflect.String {
			v.SetString(disarm(x))
			return nil
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(x)
			return nil
		}
	case json.Number:
		switch {
		case v.CanInt():
			var n int64
			n, err = strconv.ParseInt(x.String(), 10, v.Type().Bits())
			v.SetInt(n)
			return err
		case v.CanUint():
			var n uint64
			n, err = strconv.ParseUint(x.String(), 10, v.Type().Bits())
			v.SetUint(n)
			return err
		case v.CanFloat():
			var f float64
			f, err = strconv.ParseFloat(x.String(), v.Type().Bits())
			v.SetFloat(f)
			return err
		}
	}
	return fmt.Errorf("cannot read %v as %s", token, v.Type())
}

func readAny(dec *json.Decoder, token json.Token) (any, error) {
	switch x := token.(type) {
	case json.Number:
		return number(x.String())
	case json.Delim:
		if x == '[' {
			list := []any{}
			err := readSlice(dec, token, reflect.ValueOf(&list).Elem())
			return list, err
		}
		m := map[string]any{}
		if err := readMap(dec, token, reflect.ValueOf(&m).Elem()); err != nil {
			return nil, err
		}
		return special(m)
	}
	if s, ok := token.(string); ok {
		return disarm(s), nil
	}
	return token, nil
}

func number(s string) (any, error) {
	if strings.ContainsAny(s, ".eE") {
		return strconv.ParseFloat(s, 64)
	}
	if n, err := strconv.Atoi(s); err == nil {
		return n, nil
	}
	return strconv.ParseUint(s, 10, 64)
}

func special(m map[string]any) (any, error) {
	if s, ok := m["$float"].(string); ok {
		return strconv.ParseFloat(s, 64)
	}
	if s, ok := m["$time"].(string); ok {
		return time.Parse(time.RFC3339Nano, s)
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		if strings.HasPrefix(k, "$$") {
			k = k[1:]
		}
		out[k] = v
	}
	return out, nil
}

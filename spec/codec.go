package spec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The codec writes Go values as JSON by field name, heedless of marshallers and
// tags, so that reading gives an equal value (reflect.DeepEqual): zero fields are
// left out, but empty and nil collections differ, and so do a nil pointer and one
// to a zero value. In an `any` a number with a point or exponent is a float64,
// an object with the single key "$float" or "$time" is special, and "$" before other
// keys is doubled. A string that begins with NUL is base64 of bytes that are no UTF-8.

func encodeValue(v reflect.Value) ([]byte, error) {
	var b bytes.Buffer
	err := write(&b, v)
	return b.Bytes(), err
}

func write(b *bytes.Buffer, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Struct:
		return writeStruct(b, v)
	case reflect.Map:
		return writeMap(b, v)
	case reflect.Slice:
		return writeSlice(b, v)
	case reflect.Pointer:
		if v.IsNil() {
			b.WriteString("null")
			return nil
		}
		return write(b, v.Elem())
	case reflect.Interface:
		return writeAny(b, v)
	case reflect.Func, reflect.Chan, reflect.UnsafePointer, reflect.Array, reflect.Complex64, reflect.Complex128, reflect.Uintptr:
		return fmt.Errorf("cannot write %s", v.Type())
	}
	return writeScalar(b, v)
}

// writeScalar does without the marshallers of derived types.
func writeScalar(b *bytes.Buffer, v reflect.Value) error {
	switch {
	case v.Kind() == reflect.String:
		text, err := json.Marshal(armour(v.String()))
		b.Write(text)
		return err
	case v.Kind() == reflect.Bool:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case v.CanInt():
		b.WriteString(strconv.FormatInt(v.Int(), 10))
	case v.CanUint():
		b.WriteString(strconv.FormatUint(v.Uint(), 10))
	case v.CanFloat():
		if math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0) {
			return fmt.Errorf("cannot write %v", v.Float())
		}
		b.WriteString(strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits()))
	}
	return nil
}

// armour protects bytes that JSON cannot hold.
func armour(s string) string {
	if utf8.ValidString(s) && !strings.HasPrefix(s, "\x00") {
		return s
	}
	return "\x00" + base64.StdEncoding.EncodeToString([]byte(s))
}

func disarm(s string) string {
	if rest, ok := strings.CutPrefix(s, "\x00"); ok {
		if text, err := base64.StdEncoding.DecodeString(rest); err == nil {
			return string(text)
		}
	}
	return s
}

func writeStruct(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('{')
	comma := ""
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || v.Field(i).IsZero() {
			continue
		}
		fmt.Fprintf(b, "%s%q:", comma, field.Name)
		comma = ","
		if err := write(b, v.Field(i)); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func writeMap(b *bytes.Buffer, v reflect.Value) error {
	if v.IsNil() {
		b.WriteString("null")
		return nil
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
	b.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeScalar(b, key); err != nil {
			return err
		}
		b.WriteByte(':')
		if err := write(b, v.MapIndex(key)); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func writeSlice(b *bytes.Buffer, v reflect.Value) error {
	if v.IsNil() {
		b.WriteString("null")
		return nil
	}
	b.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := write(b, v.Index(i)); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func writeAny(b *bytes.Buffer, v reflect.Value) error {
	switch x := v.Interface().(type) {
	case nil:
		b.WriteString("null")
		return nil
	case float64:
		return writeFloat(b, x)
	case time.Time:
		fmt.Fprintf(b, `{"$time":%q}`, x.Format(time.RFC3339Nano))
		return nil
	case map[string]any:
		return writeMap(b, reflect.ValueOf(escaped(x)))
	case string, bool, int, int64, uint64, []any:
	default:
		return fmt.Errorf("cannot write a %T of an extension", x)
	}
	return write(b, v.Elem())
}

func escaped(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if strings.HasPrefix(k, "$") {
			k = "$" + k
		}
		out[k] = v
	}
	return out
}

func writeFloat(b *bytes.Buffer, x float64) error {
	text := strconv.FormatFloat(x, 'g', -1, 64)
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		text = fmt.Sprintf(`{"$float":%q}`, text)
	case !strings.ContainsAny(text, ".e"):
		text += ".0"
	}
	b.WriteString(text)
	return nil
}

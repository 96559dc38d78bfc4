package native

import (
	"encoding/json"
	"math"
	"math/rand"
	"reflect"
	"testing"
	"testing/quick"
	"time"

	"stack/runtime/native/stub"
)

// A record reads as encoding/json would have written it, byte for byte, whatever is in it.
func TestRecordEncoding(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for round := range 100 {
		r := record{Created: time.Unix(random.Int63n(1<<37), random.Int63n(1e9))}
		v := reflect.ValueOf(&r).Elem()
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "Created" || round == 0 || random.Intn(4) == 0 {
				continue
			}
			some, ok := quick.Value(v.Field(i).Type(), random)
			if !ok {
				t.Fatalf("cannot make a value of %s", v.Type().Field(i).Name)
			}
			v.Field(i).Set(some)
		}
		for _, n := range []*int{&r.Version, &r.Pid, &r.ExtraFiles} {
			*n &= math.MaxInt
		}
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.encode()
		if err != nil || string(got) != string(want) {
			t.Fatalf("%v\ngot  %s\nwant %s", err, got, want)
		}
	}
}

func TestRecordEncodingQuotes(t *testing.T) {
	for _, s := range []string{"plain ~!", `a "b" \c`, "<&>", "ü\u2028", "\x00\n\x7f", "\xff"} {
		r := record{ID: s, Steps: stub.Table{{From: 1, Do: s}}}
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := r.encode(); string(got) != string(want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

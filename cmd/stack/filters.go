package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// filters are the values of --filter KEY=VALUE by key.
type filters map[string][]string

func parseFilters(args []string, known ...string) (filters, error) {
	f := filters{}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok || !slices.Contains(known, key) {
			return nil, fmt.Errorf("unknown filter %q: there are %s", arg, strings.Join(known, "=…, ")+"=…")
		}
		f[key] = append(f[key], value)
	}
	return f, nil
}

// any reports whether one of the key's values matches, or none was given.
func (f filters) any(key string, match func(string) bool) bool {
	return len(f[key]) == 0 || slices.ContainsFunc(f[key], match)
}

// is compares with the key's values.
func (f filters) is(key, value string) bool {
	return f.any(key, func(want string) bool { return want == value })
}

// named matches the key's values as patterns, as Docker does with names.
func (f filters) named(key, name string) bool {
	return f.any(key, func(pattern string) bool {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return strings.Contains(name, pattern)
		}
		return re.MatchString(name) || re.MatchString("/"+name)
	})
}

// labelled reports whether all of label=KEY and label=KEY=VALUE hold.
func (f filters) labelled(labels map[string]string) bool {
	return !slices.ContainsFunc(f["label"], func(want string) bool {
		key, value, exact := strings.Cut(want, "=")
		got, ok := labels[key]
		return !ok || exact && got != value
	})
}

// until is the earliest of the key's times, zero for none.
func (f filters) until(now time.Time) (time.Time, error) {
	var first time.Time
	for _, value := range f["until"] {
		t, err := parseTime(value, now)
		if err != nil {
			return first, err
		}
		if first.IsZero() || t.Before(first) {
			first = t
		}
	}
	return first, nil
}

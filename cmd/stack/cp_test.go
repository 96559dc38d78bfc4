package main

import (
	"os"
	"testing"
)

func TestSplitPath(t *testing.T) {
	for in, want := range map[string][2]string{
		"web:/x": {"web", "/x"}, "web:x:y": {"web", "x:y"}, "web:": {"web", ""}, "/a:b": {"", "/a:b"}, "./web:/x": {"", "./web:/x"},
		"dir/web:/x": {"", "dir/web:/x"}, "-": {"", "-"}, "file": {"", "file"}, ":/x": {"", ":/x"},
	} {
		service, path, inside := splitPath(in)
		if service != want[0] || path != want[1] || inside != (want[0] != "") {
			t.Errorf("%q: %q %q %v", in, service, path, inside)
		}
	}
}

func TestHostPath(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		".": here + "/.", "a": here + "/a", "a/": here + "/a/", "a/.": here + "/a/.", "/": "/", "/a/../b": "/b", "/a/": "/a/",
	} {
		if got, err := hostPath(in); err != nil || got != want {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
}

package spec

import (
	"strings"
	"testing"
)

// TestAt: the place is where a value was written, through merge keys, overrides,
// extends and includes.
func TestAt(t *testing.T) {
	dir := tempFiles(t, map[string]string{
		"stack.yaml": `x-base: &base
  restart: always
include: [sub/part.yaml]
services:
  web:
    <<: *base
    image: rootfs:/
    ports:
      - "80-81:80-81"
      - "443:443"
    environment: {A: "1", B: "2"}
    volumes: ["./a:/a"]
  ext:
    extends: {file: sub/base.yaml, service: root}
    tty: false
  bare:
    image: rootfs:/
`,
		"stack.override.yaml": `services:
  web:
    image: rootfs:/other
    ports: ["9090:90"]
    environment: [B=3]
    volumes: ["./b:/a"]
`,
		"sub/part.yaml": "services:\n  db:\n    image: rootfs:/\n    user: postgres\n",
		"sub/base.yaml": "services:\n  root:\n    image: rootfs:/\n    hostname: base\n    tty: true\n",
	})
	s := mustLoad(t, Options{Dir: dir})
	for path, want := range map[string]string{
		"services":                   "stack.yaml:4:1",
		"services/web":               "stack.yaml:5:3",
		"services/web/image":         "stack.override.yaml:3:12",
		"services/web/restart":       "stack.yaml:2:12",
		"services/web/ports":         "stack.yaml:8:5",
		"services/web/ports/0":       "stack.yaml:9:9",
		"services/web/ports/1":       "stack.yaml:9:9",
		"services/web/ports/2":       "stack.yaml:10:9",
		"services/web/ports/3":       "stack.override.yaml:4:13",
		"services/web/environment/A": "stack.yaml:11:22",
		"services/web/environment/B": "stack.override.yaml:5:19",
		"services/web/volumes/0":     "stack.override.yaml:6:15",
		"services/db/user":           "sub/part.yaml:4:11",
		"services/ext/hostname":      "sub/base.yaml:4:15",
		"services/ext/tty":           "stack.yaml:15:10",
		"services/bare/networks":     "stack.yaml:16:3",
		"services/none":              "stack.yaml:4:1",
		"nothing":                    "",
	} {
		got := strings.TrimPrefix(s.At(strings.Split(path, "/")...).String(), dir+"/")
		if got != want {
			t.Errorf("At(%s) = %s, want %s", path, got, want)
		}
	}
	if n := len(s.Services["web"].Ports); n != 4 {
		t.Errorf("%d ports: At's indices are not the project's", n)
	}
	if got := roundTrip(t, s).At("services", "web"); got != (Position{}) {
		t.Errorf("after Decode: %v", got)
	}
}

package spec

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestInlineProfiles: the content of a profile is part of the configuration, of services,
// their hooks and jobs; what is none stays a name, for preflight to explain.
func TestInlineProfiles(t *testing.T) {
	files := map[string]string{
		"a.json":  "{\n \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n",
		"b.json":  `{"defaultAction": "SCMP_ACT_KILL"}`,
		"no.json": `["defaultAction"]`,
		"stack.yaml": `
name: p
services:
  a:
    image: rootfs:/
    security_opt: ["seccomp:a.json", no-new-privileges]
    pre_start: [{command: [x], security_opt: ["seccomp=./b.json"]}]
  b: {image: rootfs:/, profiles: [off], security_opt: [seccomp=b.json]}
  c: {image: rootfs:/, security_opt: [seccomp=no.json]}
  d: {image: rootfs:/, security_opt: [seccomp=gone.json]}
  e: {image: rootfs:/, security_opt: [seccomp=unconfined]}
jobs:
  j: {image: rootfs:/, security_opt: [seccomp=a.json], triggers: {manual: true}}
`}
	dir := tempFiles(t, files)
	st := mustLoad(t, Options{Dir: dir})
	const a, b = `seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`, `seccomp={"defaultAction":"SCMP_ACT_KILL"}`
	last := func(opts []string) string { return opts[len(opts)-1] } // it has those of its service before
	for what, got := range map[string][2]string{
		"service":  {st.Services["a"].SecurityOpt[0], a},
		"hook":     {last(st.Services["a"].PreStart[0].SecurityOpt), b},
		"disabled": {st.DisabledServices["b"].SecurityOpt[0], b},
		"no JSON":  {st.Services["c"].SecurityOpt[0], "seccomp=no.json"},
		"missing":  {st.Services["d"].SecurityOpt[0], "seccomp=gone.json"},
		"none":     {st.Services["e"].SecurityOpt[0], "seccomp=unconfined"},
		"job":      {st.Jobs["j"].SecurityOpt[0], a},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %s, want %s", what, got[0], got[1])
		}
	}
	for _, name := range []string{"a.json", "b.json", "no.json", "gone.json"} {
		path := filepath.Join(dir, name)
		if !slices.ContainsFunc(st.Files, func(f File) bool { return f.Path == path }) {
			t.Errorf("%s is not among the files of the stack, which are watched", name)
		}
	}
	if kept := mustLoad(t, Options{Dir: dir, KeepProfiles: true}).Services["a"].SecurityOpt[0]; kept != "seccomp:a.json" {
		t.Errorf("config would print %q", kept)
	}
	before, _ := st.Hash("a")
	if err := os.WriteFile(filepath.Join(dir, "a.json"), []byte(strings.Replace(files["a.json"], "ALLOW", "LOG", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if now, _ := mustLoad(t, Options{Dir: dir}).Hash("a"); now == before {
		t.Error("another profile is the same configuration")
	}
}

// TestHostSources: the places of the machine that a start or a rebuild follows are noted.
func TestHostSources(t *testing.T) {
	dir := tempFiles(t, map[string]string{"stack.yaml": `
name: p
services:
  a:
    image: rootfs:./root
    build: {context: ./ctx, dockerfile: ../D, additional_contexts: {more: ./more}, secrets: [s]}
    devices: ["/dev/null:/dev/n", "/srv/dev:/dev/x", "vendor.com/gpu=all"]
    volumes:
      - ./bind:/bind
      - vol:/v
      - ovl:/o
      - {type: image, source: "oci:/srv/layout:tag", target: /i}
    pre_start: [{image: "docker-archive:/srv/a.tar:x", command: [x], volumes: ["./hook:/h"]}]
    x-stack: {isolation: container}
volumes:
  vol: {driver_opts: {type: none, o: bind, device: /srv/data}}
  ovl: {driver_opts: {type: overlay, o: "lowerdir=/srv/l1:/srv/l2", device: overlay}}
secrets: {s: {file: ./key}}
`, "key": "k", "ctx/x": "", "more/x": "", "root/x": "", "D": "FROM scratch"})
	var got []string
	for _, f := range mustLoad(t, Options{Dir: dir}).Sources {
		got = append(got, strings.TrimPrefix(f.Path, dir+"/"))
	}
	slices.Sort(got)
	want := []string{"/srv/a.tar", "/srv/data", "/srv/dev", "/srv/l1", "/srv/l2", "/srv/layout", "D", "bind", "ctx", "hook", "key", "more", "root"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

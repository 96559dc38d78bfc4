package scheduler

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/image"
	"stack/spec"
)

// revisionOf is what would be recorded of a stack's service.
func revisionOf(st *spec.Stack, service string) Revision {
	c := &Controller{want: Want{Wish: Wish{Stack: st}}}
	return Revision{Number: 1, Recipe: c.recipe(st.Services[service], image.Image{})}
}

// Configs come back as they were, in files or in the stack, those that others use
// beside the present ones; of secrets nothing is kept but what the wish has.
func TestRestoreContents(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	load := func(content string) *spec.Stack {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("FILE", file, "TEXT", content).Replace(`
services:
  web:
    image: rootfs:/
    command: [TEXT]
    configs: [inline, file, shared]
    secrets: [hidden, {source: kept, target: x}]
  other:
    image: rootfs:/
    configs: [shared]
configs:
  inline: {content: TEXT}
  file: {file: FILE}
  shared: {content: TEXT}
secrets:
  hidden: {file: FILE}
  kept: {environment: SECRET}
`)
		path := filepath.Join(dir, "stack.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := spec.Load(context.Background(), spec.Options{Files: []string{path}, Project: "p", Environ: []string{"SECRET=sesame " + content}})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	rev := revisionOf(load("one"), "web")
	text := string(rev.Recipe.Service) + string(rev.Recipe.Objects)
	if strings.Contains(text, "sesame") || len(rev.Recipe.Contents) != 3 {
		t.Errorf("the revision holds %s %v", text, rev.Recipe.Contents)
	}
	now := load("two")
	secrets := map[string]string{contentDigest("sesame one"): "sesame one"}
	st, warnings, err := restore(now, rev, secrets)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(warnings, "\n"); got != `service web: secret "hidden" has its present content, that of revision 1 is not kept` {
		t.Errorf("warned %s", got)
	}
	web := st.Services["web"]
	for n, want := range map[int]struct{ source, target, content string }{
		0: {"inline", "", "one"}, 1: {"file", "", "one"}, 2: {"shared@web.1", "shared", "one"},
	} {
		ref := web.Configs[n]
		o := st.Configs[ref.Source]
		if ref.Source != want.source || ref.Target != want.target || o.Content != want.content || o.File != "" {
			t.Errorf("config %d is %+v of %+v", n, ref, types.FileObjectConfig(o))
		}
	}
	if got := st.Secrets["kept"].Content; got != "sesame one" || st.Configs["shared"].Content != "two" {
		t.Errorf("the secret is %q, the others' config %q", got, st.Configs["shared"].Content)
	}
	if now.Services["web"].Command[0] != "two" || now.Configs["inline"].Content != "two" {
		t.Error("the stack itself was changed")
	}
}

// What no container is made of stays the present file's.
func TestRestoreLeavesTheRest(t *testing.T) {
	rev := revisionOf(loadStack(t, `{services: {web: {image: "rootfs:/", networks: [a, b]}}, networks: {a: {}, b: {}}}`), "web")
	now := loadStack(t, `{services: {web: {image: "rootfs:/", depends_on: [db], networks: [a]}, db: {image: "rootfs:/", networks: [a]}}, networks: {a: {internal: true}}}`)
	st, _, err := restore(now, rev, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := st.Services["web"].DependsOn["db"]; !ok || len(st.Services["web"].Networks) != 2 || !st.Networks["a"].Internal || st.Networks["b"].Name == "" {
		t.Errorf("restored %+v in %+v", st.Services["web"], st.Networks)
	}
	delete(now.Services, "web")
	if _, _, err := restore(now, rev, nil); err == nil || !strings.Contains(err.Error(), "not in the file any more") {
		t.Errorf("a service that is gone: %v", err)
	}
}

// A history keeps the last few, and those that are needed.
func TestHistoryKeepsTheLast(t *testing.T) {
	var h History
	for n := range 9 {
		h.add(Revision{Hash: string(rune('a' + n))})
		if n == 1 {
			h.Good = 2
		}
	}
	if len(h.Revisions) != revisionsKept || h.Revision(2) == nil || h.Revision(9) == nil || h.Revision(5) != nil {
		t.Errorf("kept %+v", h.Revisions)
	}
	if known := h.add(Revision{Hash: "b"}); known.Number != 2 || h.Current != 2 || len(h.Revisions) != revisionsKept {
		t.Errorf("known again as %+v", known)
	}
}

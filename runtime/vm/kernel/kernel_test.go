package kernel

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// image is a compressed kernel as the boot protocol has it, with payload inside.
func image(t *testing.T, payload []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(payload)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1024)
	b[0x1f1] = 1 // one sector after the first: the payload is at 1024
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(b[0x206:], 0x20f)
	binary.LittleEndian.PutUint16(b[0x20e:], 0x300-0x200)
	binary.LittleEndian.PutUint32(b[0x24c:], uint32(packed.Len()))
	copy(b[0x300:], "6.1.0-test (someone@somewhere) #1\x00")
	return append(b, packed.Bytes()...)
}

func TestGivenKernelIsUnpackedOnce(t *testing.T) {
	dir, boot := t.TempDir(), t.TempDir()
	path := filepath.Join(boot, "vmlinuz")
	want := append([]byte("\x7fELF"), bytes.Repeat([]byte("kernel"), 1000)...)
	if err := os.WriteFile(path, image(t, want), 0o644); err != nil {
		t.Fatal(err)
	}
	k, err := Find(dir, path)
	if err != nil || k.Version != "6.1.0-test" || k.Modules != "" {
		t.Fatalf("%+v, %v", k, err)
	}
	got, err := os.ReadFile(k.Image)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("unpacked %d bytes, %v", len(got), err)
	}
	before, _ := os.Stat(k.Image)
	again, err := Find(dir, path)
	after, _ := os.Stat(again.Image)
	if err != nil || again.Image != k.Image || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("unpacked again: %+v, %v", again, err)
	}
}

func TestBadKernels(t *testing.T) {
	dir := t.TempDir()
	if _, err := Find(dir, ""); !errors.Is(err, ErrMissing) {
		t.Errorf("without any: %v", err)
	}
	whole := image(t, []byte("\x7fELF and more"))
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("#!/bin/sh\n"), "header only": whole[:0x240],
		"version that leads elsewhere": []byte("Linux version ../../etc "),
	} {
		path := filepath.Join(dir, "kernel")
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if k, err := Find(dir, path); err == nil {
			t.Errorf("%s: taken for %+v", name, k)
		}
	}
	for cut := range whole { // a header may say anything
		parseHeader(whole[:cut])
		unpackImage(whole[:cut])
	}
}

// TestArchive reads what was written with another program.
func TestArchive(t *testing.T) {
	cpio, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("no busybox to read it with")
	}
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := pack(w, []byte("#!program"), []module{{"virtio", []byte("one")}, {"9p", []byte("three")}}); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	dir := t.TempDir()
	cmd := exec.Command(cpio, "cpio", "-idm")
	cmd.Dir, cmd.Stdin = dir, &b
	if out, err := cmd.CombinedOutput(); err != nil && os.Getuid() == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	for name, want := range map[string]string{"init": "#!program", "modules/000-virtio.ko": "one", "modules/001-9p.ko": "three"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if st, err := os.Stat(filepath.Join(dir, "init")); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("init: %v, %v", st.Mode(), err)
	}
}

func TestInitrdIsKept(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	kernelFile := filepath.Join(dir, "vmlinux")
	for _, f := range []string{program, kernelFile} {
		if err := os.WriteFile(f, []byte("x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	k := Kernel{Image: kernelFile, Version: "1"}
	first, err := Initrd(dir, k, program)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Initrd(dir, k, program); err != nil || again != first {
		t.Errorf("%q, %v", again, err)
	}
	if err := os.WriteFile(program, []byte("another"), 0o755); err != nil {
		t.Fatal(err)
	}
	if changed, err := Initrd(dir, k, program); err != nil || changed == first {
		t.Errorf("another program has the same file: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "initrd", ".new-*"))
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestModuleNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/virtio-rng.ko", "b/9p.ko.xz", "b/notes.txt"} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		os.WriteFile(filepath.Join(dir, name), nil, 0o644)
	}
	index, err := indexModules(dir)
	if err != nil || len(index) != 2 || !strings.HasSuffix(index["virtio_rng"], "virtio-rng.ko") || index["9p"] == "" {
		t.Errorf("%v, %v", index, err)
	}
	if _, err := collect(dir, []string{"9p"}); err == nil {
		t.Error("an empty module was taken")
	}
}

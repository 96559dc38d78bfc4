package spec

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestEncodeService(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stack.yaml")
	err := os.WriteFile(path, []byte(`
services:
  web:
    image: rootfs:/
    command: []
    environment: {A: "1", B: }
    ports: ["8080:80", "127.0.0.1:9000-9001:90-91/udp"]
    volumes: ["data:/data", "/tmp:/x:ro"]
    healthcheck: {test: [CMD, "true"], interval: 3s, retries: 2}
    deploy: {resources: {limits: {cpus: "0.5", memory: 64m}}}
    ulimits: {nofile: {soft: 10, hard: 20}}
    x-mine: {a: [1, 2.5, null]}
volumes: {data: }
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Load(context.Background(), Options{Files: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	want := s.Services["web"]
	text, err := EncodeService(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeService(text)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

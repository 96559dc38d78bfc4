package spec

import "testing"

// TestHash: what Compose leaves out of the hash does not change it; all else does.
func TestHash(t *testing.T) {
	load := func(extra string) *Stack {
		return mustLoad(t, Options{Dir: tempFiles(t, map[string]string{"stack.yaml": `
name: h
services:
  a:
    image: rootfs:/
` + extra + `
  b: {image: rootfs:/}
`})})
	}
	hash := func(extra string) string {
		h, err := load(extra).Hash("a")
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	base := hash("")
	if len(base) != 64 {
		t.Fatalf("hash %q", base)
	}
	for _, same := range []string{
		"    scale: 3", "    deploy: {replicas: 5}", "    depends_on: [b]", "    pull_policy: always", "    profiles: [x]",
		"    x-note: changed", "    develop: {watch: [{path: src, action: sync, target: /x}]}", "    x-stack: {watch: auto}",
	} {
		s := load(same)
		if h, err := s.Hash("a"); h != base || err != nil {
			t.Errorf("%s changes the hash (%v)", same, err)
		}
	}
	seen := map[string]string{base: "nothing"}
	for _, other := range []string{
		"    tty: true", "    command: x", "    command: []", "    environment: {A: b}", "    labels: {A: b}", "    restart: always",
		"    deploy: {resources: {limits: {memory: 1g}}}", "    healthcheck: {test: x}", "    networks: {default: {aliases: [z]}}",
	} {
		h := hash(other)
		if with, ok := seen[h]; ok {
			t.Errorf("%s has the hash of %s", other, with)
		}
		seen[h] = other
	}
	if _, err := load("").Hash("none"); err == nil {
		t.Error("hash of an unknown service")
	}
}

func TestHashLeavesTheStackAlone(t *testing.T) {
	s := mustLoad(t, Options{Dir: tempFiles(t, map[string]string{
		"stack.yaml": "services: {a: {image: rootfs:/, deploy: {replicas: 5}}}"})})
	if _, err := s.Hash("a"); err != nil {
		t.Fatal(err)
	}
	if *s.Services["a"].Deploy.Replicas != 5 {
		t.Error("Hash changed the replicas")
	}
}

// TestRecreateHash: what a running container can be given does not change it; all
// else does, and every change changes Hash.
func TestRecreateHash(t *testing.T) {
	hashes := func(extra string) (recreate, whole string) {
		s := mustLoad(t, Options{Dir: tempFiles(t, map[string]string{"stack.yaml": "name: h\nservices:\n  a:\n    image: rootfs:/\n" + extra + "\n"})})
		recreate, err := s.RecreateHash("a")
		if err != nil {
			t.Fatal(err)
		}
		if whole, err = s.Hash("a"); err != nil {
			t.Fatal(err)
		}
		return recreate, whole
	}
	base, whole := hashes("")
	for _, live := range []string{
		"    mem_limit: 1g", "    mem_reservation: 1g", "    cpus: 2", "    cpu_shares: 5", "    pids_limit: 9",
		"    deploy: {resources: {limits: {memory: 1g}}}", "    deploy: {restart_policy: {condition: any}}",
		"    ports: ['80:80']", "    labels: {A: b}", "    healthcheck: {test: x}", "    restart: always",
		"    stop_signal: SIGINT", "    stop_grace_period: 3s", "    post_start: [{command: x}]", "    pre_stop: [{command: x}]",
		"    x-stack: {probe: {tcp: 80}}", "    blkio_config: {device_write_iops: [{path: /dev/x, rate: 9}]}",
	} {
		if r, w := hashes(live); r != base || w == whole {
			t.Errorf("%s: recreate hash differs: %t, hash is the same: %t", live, r != base, w == whole)
		}
	}
	for _, change := range [][2]string{
		{"    cpuset: '0'", "    cpuset: '0,1'"},
		{"    blkio_config: {weight: 100}", "    blkio_config: {weight: 200, device_read_bps: [{path: /dev/x, rate: 1mb}]}"},
		{"    blkio_config: {weight_device: [{path: /dev/x, weight: 100}]}", "    blkio_config: {weight_device: [{path: /dev/x, weight: 200}]}"},
	} {
		a, before := hashes(change[0])
		b, after := hashes(change[1])
		if a != b || a == base || before == after {
			t.Errorf("%v: recreate hash differs: %t, hash is the same: %t", change, a != b, before == after)
		}
	}
	for _, fixed := range []string{
		"    blkio_config: {weight: 100}", "    blkio_config: {weight_device: [{path: /dev/x, weight: 100}]}",
		"    command: x", "    environment: {A: b}", "    user: '1'", "    read_only: true", "    volumes: [/x]", "    cpuset: '0'",
		"    networks: {default: {aliases: [z]}}", "    annotations: {A: b}", "    pre_start: [{command: x}]", "    privileged: true",
	} {
		if r, _ := hashes(fixed); r == base {
			t.Errorf("%s does not change the recreate hash", fixed)
		}
	}
}

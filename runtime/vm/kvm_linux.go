package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// verdict is Home/kvm.json, Version 1: what a try to use the processor's own means
// showed, for as long as the host runs.
type verdict struct {
	Version int
	Boot    string // /proc/sys/kernel/random/boot_id
	Works   bool
}

const verdictVersion = 1

// probeTime is how long a kernel may take to its first line. It takes a fraction of a
// second where KVM works; nested in other hypervisors it is seen to hang.
const probeTime = 3 * time.Second

const kvmDevice = "/dev/kvm"

// acceleration tells whether the processor may run guests itself. The first to ask
// since the host's boot finds out, and is given what to tell when it cannot.
func (r *Runtime) acceleration(ctx context.Context, m machine) (kvm bool, warning string, err error) {
	if err := os.MkdirAll(r.o.Home, 0o755); err != nil {
		return false, "", err
	}
	lock, err := os.OpenFile(filepath.Join(r.o.Home, "kvm.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return false, "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return false, "", fmt.Errorf("cannot lock %s: %w", lock.Name(), err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return false, "", err
	}
	path := filepath.Join(r.o.Home, "kvm.json")
	now := verdict{Version: verdictVersion, Boot: strings.TrimSpace(string(boot))}
	if old, err := readVerdict(path); err == nil && old.Version == now.Version && old.Boot == now.Boot {
		return old.Works, "", nil
	}
	now.Works, warning = r.tryKVM(ctx, m)
	if ctx.Err() != nil {
		return false, "", ctx.Err()
	}
	b, err := json.Marshal(now)
	if err == nil {
		err = os.WriteFile(path+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	return now.Works, warning, err
}

func readVerdict(path string) (v verdict, err error) {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	return v, err
}

func (r *Runtime) tryKVM(ctx context.Context, m machine) (works bool, warning string) {
	const slow = "virtual machines run under software emulation, which is many times slower: "
	f, err := os.OpenFile(kvmDevice, os.O_RDWR, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("this host has no " + kvmDevice)
		}
		return false, slow + err.Error()
	}
	f.Close()
	if err := m.firstLine(ctx); err != nil {
		return false, slow + err.Error()
	}
	return true, ""
}

// firstLine boots the kernel under KVM until it says anything.
func (m machine) firstLine(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	m.kvm = true
	args := append([]string{
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-m", "256M", "-serial", "stdio",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-kernel", m.kernel.Image, "-append", "panic=-1 earlyprintk=" + m.console() + " console=" + m.console(),
	}, m.platform()...)
	cmd := exec.CommandContext(ctx, m.qemu, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = out.Read(make([]byte, 1))
	cancel()
	cmd.Wait()
	if err != nil {
		return fmt.Errorf("with %s a kernel said nothing within %v", kvmDevice, probeTime)
	}
	return nil
}

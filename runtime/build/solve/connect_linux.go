package solve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/buildkit/client"
	"golang.org/x/sys/unix"

	"stack/runtime/build"
	"stack/runtime/flock"
)

// attempts bounds how often a server is started anew: one that ends because nobody
// was connected may be met at that very moment.
const attempts = 5

// connect gives a client of the build server, starting it if need be.
func connect(ctx context.Context, m build.Machine) (*client.Client, error) {
	dir := build.RunDir(m)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot reach the build server: %w", err)
	}
	var last error
	for range attempts {
		c, err := dial(ctx, dir)
		if err == nil {
			return c, nil
		}
		if last = err; ctx.Err() != nil {
			break
		}
		if err := start(ctx, m, dir); err != nil {
			last = err
			break
		}
	}
	return nil, fmt.Errorf("cannot reach the build server: %w", last)
}

// dial succeeds when the server has answered.
func dial(ctx context.Context, dir string) (*client.Client, error) {
	probe, err := dialSocket(ctx, dir) // the gRPC library would try for long
	if err != nil {
		return nil, err
	}
	probe.Close()
	c, err := client.New(ctx, "unix:///"+build.SocketName, client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return dialSocket(ctx, dir)
	}))
	if err != nil {
		return nil, err
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := c.Info(short); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// dialSocket goes through a descriptor: paths of sockets are at most 107 bytes long.
func dialSocket(ctx context.Context, dir string) (net.Conn, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return new(net.Dialer).DialContext(ctx, "unix", filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), build.SocketName))
}

// start runs a server unless another process just did.
func start(ctx context.Context, m build.Machine, dir string) error {
	lock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if c, err := dialSocket(ctx, dir); err == nil {
		return c.Close()
	}
	return spawn(ctx, m)
}

// spawn runs a server in a pid and a mount namespace of its own and waits until it
// listens.
func spawn(ctx context.Context, m build.Machine) error {
	config, err := json.Marshal(m)
	if err != nil {
		return err
	}
	log, err := openLog(build.Dir(m))
	if err != nil {
		return err
	}
	defer log.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ready.Close()
	cmd := exec.Command("/proc/self/exe", "serve", build.Dir(m))
	cmd.Dir, cmd.Env = "/", serverEnv()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(config), log, log
	cmd.ExtraFiles = []*os.File{tell}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	err = cmd.Start()
	tell.Close()
	if err != nil {
		return fmt.Errorf("cannot start the build server: %w", err)
	}
	go cmd.Wait()
	stop := context.AfterFunc(ctx, func() { ready.SetReadDeadline(time.Now()) })
	defer stop()
	said, err := io.ReadAll(ready)
	switch why, failed := strings.CutPrefix(string(said), "error "); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case failed:
		return errors.New(why)
	case len(said) == 0:
		return fmt.Errorf("the build server died at its start, see %s", log.Name())
	}
	return nil
}

// serverEnv is what a server sees of the environment of who starts it.
func serverEnv() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "TZ", "STACK_DEBUG"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// maxLog is when the server's log begins anew.
const maxLog = 1 << 20

func openLog(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "log")
	if st, err := os.Stat(name); err == nil && st.Size() > maxLog {
		os.Remove(name)
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
}

// lockFile takes an exclusive flock; closing the file releases it.
func lockFile(ctx context.Context, name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock.Wait(ctx, f, unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", name, err)
	}
	return f, nil
}

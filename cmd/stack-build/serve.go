package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/moby/buildkit/control"

	"stack/runtime/build"
	"stack/runtime/build/builder"
	"stack/runtime/image"
	"stack/runtime/image/registry"
	"stack/runtime/native"
	"stack/runtime/shim"
)

// serve is the build server of the Machine on standard input; its argument only tells
// people which one. It tells on descriptor
// 3 that it listens, or why it does not.
func serve() error {
	ready := os.NewFile(3, "ready")
	syscall.CloseOnExec(3)
	s := &server{log: logger()}
	if err := s.open(); err != nil {
		fmt.Fprintf(ready, "error %v", err)
		return err
	}
	fmt.Fprint(ready, "ok")
	ready.Close()
	defer s.leave()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return builder.Serve(ctx, s.builder, s.listener, cmp.Or(s.machine.Idle, build.IdleTime))
}

// ownCgroup is where servers are, beside the containers of their steps: what becomes
// of the session or CI job that needed the first build is not for those who joined.
const ownCgroup = "stack/build/server"

func (s *server) leave() {
	s.network.close()
	shim.LeaveCgroup(ownCgroup)
}

type server struct {
	log      *slog.Logger
	machine  build.Machine
	builder  *control.Controller
	network  *stepNetwork
	listener *net.UnixListener
}

func (s *server) open() error {
	if err := json.NewDecoder(os.Stdin).Decode(&s.machine); err != nil {
		return fmt.Errorf("cannot read machine: %w", err)
	}
	if err := builder.Isolate(); err != nil {
		return err
	}
	// RUN steps and files have the modes that they ask for, whoever starts the server.
	syscall.Umask(0)
	dir := build.Dir(s.machine)
	if err := lockForever(filepath.Join(dir, "lock")); err != nil {
		return err
	}
	shim.EnterCgroup(ownCgroup)
	images, err := image.Open(s.machine.Images, s.log)
	if err != nil {
		return err
	}
	if _, err := registry.LoadSettings(s.machine.Settings); err != nil {
		return err
	}
	steps := native.New(native.Options{Root: filepath.Join(build.RunDir(s.machine), "containers"), Log: s.log})
	s.network = &stepNetwork{state: s.machine.Networks, log: s.log}
	clean(context.Background(), steps, s.network)
	s.builder, err = builder.Open(context.Background(), builder.Options{
		Dir: dir, Images: images, Runtime: steps, Network: s.network, IDs: s.machine.IDs, Log: s.log,
		Remote: func(lookup lookup) (image.Remote, error) { return s.registries(lookup) },
		Hosts: func(host string) ([]docker.RegistryHost, error) {
			c, err := s.registries(func(string) (string, string, error) { return "", "", nil })
			if err != nil {
				return nil, err
			}
			return c.Hosts(host)
		},
	})
	if err != nil {
		return err
	}
	s.listener, err = listen(build.RunDir(s.machine))
	return err
}

// lookup gives the password of who builds for a registry.
type lookup = func(host string) (user, password string, err error)

// registries reads the settings each time: who corrects them builds again at once.
func (s *server) registries(find lookup) (*registry.Client, error) {
	settings, err := registry.LoadSettings(s.machine.Settings)
	if err != nil {
		return nil, err
	}
	return registry.New(settings, s.machine.Program, func(host string) (registry.Secret, error) {
		user, password, err := find(host)
		return registry.Secret{User: user, Password: password}, err
	}), nil
}

// clean removes what the steps of a killed server have left: their processes died
// with it.
func clean(ctx context.Context, r *native.Runtime, n *stepNetwork) {
	all, err := r.List(ctx)
	if err := errors.Join(err, n.inherit(ctx)); err != nil {
		n.log.Warn("cannot list what an earlier server left", "error", err)
	}
	for _, c := range all {
		n.Detach(ctx, c.ID)
		if err := r.Delete(ctx, c.ID, true); err != nil {
			n.log.Warn("cannot remove what an earlier server left", "container", c.ID, "error", err)
		}
	}
}

// lockForever waits for an earlier server to have ended.
func lockForever(name string) error {
	fd, err := syscall.Open(name, syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot lock %s: %w", name, err)
	}
	for {
		if err = syscall.Flock(fd, syscall.LOCK_EX); err != syscall.EINTR {
			return err
		}
	}
}

// listen makes the socket, by way of a descriptor: its path may be too long.
func listen(dir string) (*net.UnixListener, error) {
	name := filepath.Join(dir, build.SocketName)
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	short := filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), build.SocketName)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"}) // d stays open: closing unlinks
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", name, err)
	}
	return l, os.Chmod(name, 0o600)
}

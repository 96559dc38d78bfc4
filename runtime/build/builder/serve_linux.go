package builder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/util/grpcerrors"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthapi "google.golang.org/grpc/health/grpc_health_v1"
)

// maxMessage is the size of a message of BuildKit's clients.
const maxMessage = 16 << 20

// Serve answers on a socket until nobody has been connected for idle, or ctx is
// done. The socket's name goes first, so who comes too late starts another server.
func Serve(ctx context.Context, c *control.Controller, l *net.UnixListener, idle time.Duration) error {
	server := grpc.NewServer(
		grpc.UnaryInterceptor(grpcerrors.UnaryServerInterceptor),
		grpc.StreamInterceptor(grpcerrors.StreamServerInterceptor),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
	)
	c.Register(server)
	healthapi.RegisterHealthServer(server, health.NewServer())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := newQuiet(idle, cancel)
	go func() {
		<-ctx.Done()
		l.Close() // and its name
		server.Stop()
	}()
	err := server.Serve(&counted{UnixListener: l, quiet: quiet})
	if ctx.Err() != nil {
		err = nil
	}
	if cerr := c.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("cannot close the build cache: %w", cerr))
	}
	return err
}

// quiet calls done when nobody has been connected for a while.
type quiet struct {
	mu    sync.Mutex
	open  int
	after time.Duration
	timer *time.Timer
}

func newQuiet(after time.Duration, done func()) *quiet {
	return &quiet{after: after, timer: time.AfterFunc(after, done)}
}

func (q *quiet) change(by int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open += by; q.open > 0 {
		q.timer.Stop()
	} else {
		q.timer.Reset(q.after)
	}
}

// counted counts its connections.
type counted struct {
	*net.UnixListener
	quiet *quiet
}

// Accept implements net.Listener.
func (l *counted) Accept() (net.Conn, error) {
	c, err := l.UnixListener.Accept()
	if err != nil {
		return nil, err
	}
	l.quiet.change(1)
	return &connection{Conn: c, end: sync.OnceFunc(func() { l.quiet.change(-1) })}, nil
}

type connection struct {
	net.Conn
	end func()
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.end()
	return c.Conn.Close()
}

// Isolate is for the first process of a new pid and mount namespace: what it mounts
// stays inside, and /proc shows its own processes.
func Isolate() error {
	if os.Getpid() != 1 {
		return errors.New("a build server must be the first process of its pid namespace")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("cannot keep mounts inside: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("cannot mount /proc: %w", err)
	}
	return nil
}

package scheduler

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/image"
	"stack/spec"
)

// ServiceProbe is what a service's health is judged by: x-stack.probe, or the
// health check over that of its image.
func ServiceProbe(s types.ServiceConfig, img *image.Healthcheck) (Probe, error) {
	x, err := spec.ServiceExtension(s)
	if err != nil {
		return Probe{}, err
	}
	if x.Probe == nil {
		return NewProbe(s.HealthCheck, img)
	}
	p := Probe{
		HTTP: x.Probe.HTTP, TCP: x.Probe.TCP, Interval: x.Probe.Interval, Timeout: x.Probe.Timeout,
		StartPeriod: x.Probe.StartPeriod, StartInterval: x.Probe.StartInterval, Retries: x.Probe.Retries,
	}
	if len(x.Probe.Exec) > 0 {
		p.Test = append([]string{"CMD"}, x.Probe.Exec...)
	}
	return p.complete()
}

// Network reports whether the probe is a connection, not a command.
func (p Probe) Network() bool { return p.HTTP != nil || p.TCP != 0 }

// URL is what a network probe asks.
func (p Probe) URL() string {
	if p.HTTP == nil {
		return "tcp://localhost:" + strconv.Itoa(int(p.TCP))
	}
	return fmt.Sprintf("%s://localhost:%d%s", cmp.Or(p.HTTP.Scheme, "http"), p.HTTP.Port, cmp.Or(p.HTTP.Path, "/"))
}

// dialer connects to a literal address where a container does.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// ask makes a network probe's connection. The code is 0 when the container answered
// as it should, 1 when not; an error is a time-out or a fault of ours.
func (p Probe) ask(ctx context.Context, dial dialer, timeout time.Duration) (code int, output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if p.HTTP != nil {
		code, output, err = p.get(ctx, dial)
	} else {
		var c net.Conn
		if c, err = dial.local(ctx, p.TCP); err == nil {
			c.Close()
			output = p.URL() + ": connected"
		}
	}
	switch {
	case err == nil:
		return code, output, nil
	case ctx.Err() != nil:
		return -1, "", os.ErrDeadlineExceeded
	}
	return 1, p.URL() + ": " + err.Error(), nil
}

// local connects to a port of localhost: a program listens on either address.
func (d dialer) local(ctx context.Context, port uint16) (net.Conn, error) {
	c, err := d(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if errors.Is(err, syscall.ECONNREFUSED) {
		if c6, err6 := d(ctx, "tcp", fmt.Sprintf("[::1]:%d", port)); err6 == nil {
			return c6, nil
		}
	}
	return c, err
}

// get makes an HTTP request. Redirects are answers, and certificates are not judged:
// they are seldom made out to localhost.
func (p Probe) get(ctx context.Context, dial dialer) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL(), nil)
	if err != nil {
		return -1, "", err
	}
	req.Header.Set("User-Agent", "stack-probe")
	for name, value := range p.HTTP.Headers {
		req.Header.Set(name, value)
	}
	req.Host = req.Header.Get("Host") // "" is that of the URL
	transport := &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial.local(ctx, p.HTTP.Port) },
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 1 << 16,
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return -1, "", err
	}
	defer res.Body.Close()
	output := p.URL() + ": " + res.Status
	if res.StatusCode < 400 {
		return 0, output, nil
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, probeOutputLimit-int64(len(output))-1))
	return 1, output + "\n" + string(body), nil
}

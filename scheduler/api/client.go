package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"stack/scheduler"
)

// SocketName is the file of the socket in a project's run directory.
const SocketName = "api.sock"

// ErrGone is returned when the controller ended before it answered; the caller may
// start it again and retry, nothing was done.
var ErrGone = errors.New("the controller ended")

// ErrLost is returned when the controller ended while it worked on a command.
var ErrLost = errors.New("lost the controller while it worked; what was asked is recorded and goes on")

// Client talks to one project's controller.
type Client struct {
	http http.Client
}

// NewClient returns a client for the socket in dir. It connects on first use.
func NewClient(dir string) *Client {
	return &Client{http: http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) },
	}}}
}

// oPath is O_PATH of open(2), the same on every architecture stack runs on.
const oPath = 0x200000

// dial reaches the socket through a descriptor of its directory: the path itself
// may be longer than the 107 bytes a socket address holds.
func dial(ctx context.Context, dir string) (net.Conn, error) {
	d, err := os.OpenFile(dir, oPath|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	short := filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), SocketName)
	return new(net.Dialer).DialContext(ctx, "unix", short)
}

// Do sends a command, calls each for every reply and returns the command's error.
func (c *Client) Do(ctx context.Context, cmd scheduler.Command, each func(scheduler.Reply)) error {
	body, err := json.Marshal(cmd)
	if err != nil {
		return err
	}
	lines, err := c.open(ctx, http.MethodPost, "/v1/do", body)
	if err != nil {
		return err
	}
	defer lines.Close()
	dec := json.NewDecoder(lines)
	for {
		var r scheduler.Reply
		switch err := dec.Decode(&r); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("%w: %w", ErrLost, err)
		case r.Done && r.Code != 0:
			return &scheduler.StartError{Reason: r.Error, Code: r.Code}
		case r.Done && r.Error != "":
			return errors.New(r.Error)
		case r.Done:
			return nil
		}
		each(r)
	}
}

// Events calls each for every event until ctx ends or the controller does.
func (c *Client) Events(ctx context.Context, each func(scheduler.Event)) error {
	lines, err := c.open(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return err
	}
	defer lines.Close()
	dec := json.NewDecoder(lines)
	for {
		var ev scheduler.Event
		if err := dec.Decode(&ev); err != nil {
			if ctx.Err() != nil || errors.Is(err, io.EOF) {
				return ctx.Err()
			}
			return err
		}
		each(ev)
	}
}

// Plan returns the controller's last plan.
func (c *Client) Plan(ctx context.Context) (scheduler.Plan, error) {
	var p scheduler.Plan
	return p, c.get(ctx, "/v1/plan", &p)
}

// Metrics copies the controller's metrics to w.
func (c *Client) Metrics(ctx context.Context, w io.Writer) error {
	body, err := c.open(ctx, http.MethodGet, "/v1/metrics", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return err
}

// Version asks who answers.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var v Version
	return v, c.get(ctx, "/v1/version", &v)
}

func (c *Client) get(ctx context.Context, path string, v any) error {
	body, err := c.open(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(v)
}

func (c *Client) open(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://stack"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return nil, fmt.Errorf("controller: %s", bytes.TrimSpace(text))
	}
	return resp.Body, nil
}

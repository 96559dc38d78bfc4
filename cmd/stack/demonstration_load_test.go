package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// traffic is a constant load of requests on a published port: half of them on new
// connections, half on ones that are kept, none tried again. A request that is
// refused, reset, not answered with 200, or slower than slowest has failed.
type traffic struct {
	address string
	stop    chan struct{}
	all     sync.WaitGroup
	begun   time.Time

	mu       sync.Mutex
	asked    int
	failed   []failure
	versions map[string]int
}

type failure struct {
	at   time.Time
	text string
}

const (
	slowest = time.Second
	// clients of each kind, and how often each asks: 320 requests a second.
	clients = 8
	period  = 50 * time.Millisecond
	// least is what the load must have been, requests a second.
	least = 200
)

func startTraffic(address string) *traffic {
	l := &traffic{address: address, stop: make(chan struct{}), begun: time.Now(), versions: map[string]int{}}
	for n := range 2 * clients {
		l.all.Go(func() {
			time.Sleep(period * time.Duration(n) / (2 * clients))
			c := &client{keep: n%2 == 0, address: address}
			defer c.close()
			tick := time.NewTicker(period)
			defer tick.Stop()
			for {
				select {
				case <-l.stop:
					return
				case <-tick.C:
				}
				at := time.Now()
				version, err := c.ask()
				l.note(at, version, err)
			}
		})
	}
	return l
}

func (l *traffic) note(at time.Time, version string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if err != nil {
		l.failed = append(l.failed, failure{at, fmt.Sprintf("at %v: %v", at.Sub(l.begun).Round(time.Millisecond), err)})
		return
	}
	l.versions[version]++
}

// flawless fails the test if a request failed since the last call, but for those
// that began in the time given.
func (l *traffic) flawless(t *testing.T, step string, except ...time.Time) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var bad []string
	for _, f := range l.failed {
		if len(except) == 2 && f.at.After(except[0]) && f.at.Before(except[1]) {
			continue
		}
		bad = append(bad, f.text)
	}
	l.failed = nil
	if len(bad) > 0 {
		t.Errorf("%s: %d requests failed:\n%s", step, len(bad), strings.Join(bad[:min(8, len(bad))], "\n"))
	}
}

// only empties what is known of answers, waits for some, and returns the versions
// that gave them.
func (l *traffic) now() string {
	l.mu.Lock()
	clear(l.versions)
	l.mu.Unlock()
	time.Sleep(4 * period)
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for v := range l.versions {
		out = append(out, v)
	}
	return strings.Join(out, " ")
}

func (l *traffic) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.all.Wait()
	rate := float64(l.asked) / time.Since(l.begun).Seconds()
	t.Logf("%d requests, %.0f a second", l.asked, rate)
	if rate < least {
		t.Errorf("%.0f requests a second, want at least %d", rate, least)
	}
}

// client asks one request after the other.
type client struct {
	address string
	keep    bool
	conn    net.Conn
	in      *bufio.Reader
}

func (c *client) ask() (version string, err error) {
	deadline := time.Now().Add(slowest)
	fresh := c.conn == nil
	defer func() {
		if err != nil || !c.keep {
			c.close()
		}
		if err != nil && !fresh {
			err = fmt.Errorf("on a kept connection: %w", err)
		}
	}()
	if fresh {
		if c.conn, err = net.DialTimeout("tcp", c.address, slowest); err != nil {
			return "", err
		}
		c.in = bufio.NewReader(c.conn)
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c.conn, "GET / HTTP/1.1\r\nHost: web\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return "", err
	case resp.StatusCode != http.StatusOK:
		return "", errors.New(resp.Status)
	}
	if resp.Close {
		c.close()
	}
	return strings.TrimSpace(string(text)), nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

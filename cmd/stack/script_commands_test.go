package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long scripts wait for what must come.
const patience = time.Minute

// eventually COMMAND... runs a program until it succeeds.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: eventually COMMAND...")
	}
	deadline := time.Now().Add(patience)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if (err == nil) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: still %v", strings.Join(args, " "), err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// httpGet ADDRESS/PATH [WANT...] fetches from loopback until the answer is 200 and
// has every WANT in it; `! http` wants the connection to fail at once.
func httpGet(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: http HOST:PORT/PATH [TEXT...]")
	}
	deadline := time.Now().Add(patience)
	for {
		body, err := fetch(args[0])
		if neg {
			if err == nil {
				ts.Fatalf("http %s answered: %s", args[0], body)
			}
			return
		}
		if err == nil && containsAll(body, args[1:]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("http %s: %v: %s", args[0], err, body)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

func fetch(url string) (string, error) {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{Timeout: time.Second}).DialContext,
	}}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &net.AddrError{Err: resp.Status, Addr: url}
	}
	return string(b), err
}

// kill9 controller|shim|both kills the script's own processes of that kind.
func kill9(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || neg {
		ts.Fatalf("usage: kill9 controller|shim|both")
	}
	root := ts.Getenv("STACK_ROOT")
	killed := 0
	for _, p := range processes(root) {
		kind := "controller"
		if filepath.Base(p.args[0]) == "stack-shim" {
			kind = "shim"
		}
		if args[0] == kind || args[0] == "both" {
			if proc, err := os.FindProcess(p.pid); err == nil && proc.Kill() == nil {
				killed++
			}
		}
	}
	if killed == 0 {
		ts.Fatalf("no %s to kill", args[0])
	}
}

// clean [PROJECT...] fails unless nothing of the projects, or of the script's own, is
// left on the host.
func clean(ts *testscript.TestScript, neg bool, projects []string) {
	if len(projects) == 0 {
		projects = []string{ts.Getenv("P")}
	}
	var left []string
	for _, p := range projects {
		left = append(left, settle(ts.Getenv("STACK_ROOT"), p)...)
	}
	if (len(left) == 0) == neg {
		ts.Fatalf("left on the host: %s", strings.Join(left, "; "))
	}
}

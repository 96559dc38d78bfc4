// Command server is the web server of the demonstration's images. It answers with
// its version, is healthy unless SICK is set, and ends gracefully: who is connected
// gets an answer that closes the connection.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	var draining atomic.Bool
	var open atomic.Int64
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		if draining.Load() {
			w.Header().Set("Connection", "close")
		}
		fmt.Fprintf(w, "%s\n", os.Getenv("VERSION"))
	})
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if os.Getenv("SICK") != "" {
			http.Error(w, "sick", http.StatusServiceUnavailable)
		}
	})
	s := &http.Server{Addr: ":8080", ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}}
	ended := make(chan error, 1)
	go func() { ended <- s.ListenAndServe() }()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	select {
	case err := <-ended:
		fmt.Println(err)
		os.Exit(1)
	case <-term:
	}
	draining.Store(true)
	for quiet := 0; quiet < 5; quiet++ { // also those that the kernel has accepted
		if open.Load() > 0 {
			quiet = 0
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Shutdown(context.Background())
}

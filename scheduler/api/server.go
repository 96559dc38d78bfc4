package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"stack/scheduler"
)

// Version is what a controller says of itself.
type Version struct {
	API     int
	Stack   string
	Pid     int
	Started time.Time
}

// APIVersion is raised when an older client could misunderstand a controller.
const APIVersion = 1

// maxRequest bounds a command: a stack file of a few megabytes and its secrets.
const maxRequest = 64 << 20

// Server answers for one controller.
type Server struct {
	Controller *scheduler.Controller
	Version    Version
}

// Serve answers on l until ctx ends, then lets requests under way finish for a moment.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/do", s.do)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("GET /v1/plan", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Controller.Plan()) })
	mux.HandleFunc("GET /v1/metrics", s.metrics)
	mux.HandleFunc("GET /v1/version", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Version) })
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		srv.Shutdown(end)
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // a client that went away is no error of ours
}

func (s *Server) do(w http.ResponseWriter, r *http.Request) {
	var cmd scheduler.Command
	if err := json.NewDecoder(io.LimitReader(r.Body, maxRequest)).Decode(&cmd); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !s.Controller.Enter() {
		panic(http.ErrAbortHandler) // the client sees ErrGone and starts another
	}
	defer s.Controller.Leave()
	send := stream(w)
	err := s.Controller.Do(r.Context(), cmd, func(rep scheduler.Reply) { send(rep) })
	last := scheduler.Reply{Done: true}
	if err != nil {
		last.Error = err.Error()
		var start *scheduler.StartError
		if errors.As(err, &start) {
			last.Code = start.Code
		}
	}
	send(last)
}

func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	sub := s.Controller.Bus.Subscribe()
	defer sub.Close()
	send := stream(w)
	for {
		select {
		case <-r.Context().Done():
			return
		case <-sub.C:
			for _, ev := range sub.Take() {
				send(ev)
			}
		}
	}
}

// stream begins a response of JSON lines, each flushed as it is written.
func stream(w http.ResponseWriter) func(v any) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	flusher := http.NewResponseController(w)
	flusher.Flush()
	enc := json.NewEncoder(w)
	return func(v any) {
		if enc.Encode(v) == nil {
			flusher.Flush()
		}
	}
}

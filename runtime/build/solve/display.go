package solve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/opencontainers/go-digest"

	"stack/runtime/build"
)

// display shows the steps of all images of a job in one place.
type display struct {
	mode  progressui.DisplayMode
	all   chan *client.SolveStatus
	ended chan struct{}
}

func newDisplay(out *os.File, job build.Job) (*display, error) {
	mode := map[string]progressui.DisplayMode{
		"plain": progressui.PlainMode, "tty": progressui.TtyMode, "quiet": progressui.QuietMode,
		"json": progressui.RawJSONMode, "rawjson": progressui.RawJSONMode, "": progressui.AutoMode, "auto": progressui.AutoMode,
	}[job.Progress]
	if mode == "" {
		return nil, fmt.Errorf("cannot show progress as %q: want auto, tty, plain, json or quiet", job.Progress)
	}
	if mode == progressui.AutoMode && !job.Terminal {
		mode = progressui.PlainMode
	}
	ui, err := progressui.NewDisplay(out, mode)
	if err != nil {
		return nil, fmt.Errorf("cannot show progress: %w", err)
	}
	d := &display{mode: mode, all: make(chan *client.SolveStatus), ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		ui.UpdateFrom(context.Background(), d.all) // ends with the channel
	}()
	return d, nil
}

// close waits until everything is shown.
func (d *display) close() {
	close(d.all)
	<-d.ended
}

// attach gives a channel for one image's news, whose steps get the service's name.
func (d *display) attach(service string) (chan *client.SolveStatus, *stepLogs) {
	ch := make(chan *client.SolveStatus)
	logs := &stepLogs{ended: make(chan struct{}), tails: map[digest.Digest]*tail{}}
	go func() {
		defer close(logs.ended)
		for st := range ch {
			logs.note(st)
			for _, v := range st.Vertexes {
				v.Name = prefixed(service, v.Name)
			}
			d.all <- st
		}
	}()
	return ch, logs
}

// prefixed names the service inside the brackets that steps begin with.
func prefixed(service, name string) string {
	if service == "" {
		return name
	}
	if rest, ok := strings.CutPrefix(name, "["); ok {
		return "[" + service + " " + rest
	}
	return "[" + service + "] " + name
}

// stepLogs are the last lines of each step of an image.
type stepLogs struct {
	ended chan struct{}
	mu    sync.Mutex
	tails map[digest.Digest]*tail
}

func (l *stepLogs) wait() { <-l.ended }

func (l *stepLogs) note(st *client.SolveStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range st.Logs {
		if l.tails[e.Vertex] == nil {
			l.tails[e.Vertex] = &tail{}
		}
		l.tails[e.Vertex].add(e.Data)
	}
}

// maxTail is how much of a failed step's output its error repeats.
const maxTail = 4 << 10

type tail struct{ data []byte }

func (t *tail) add(b []byte) {
	t.data = append(t.data, b...)
	if n := len(t.data) - maxTail; n > 0 {
		t.data = t.data[n:]
		if i := bytes.IndexByte(t.data, '\n'); i >= 0 {
			t.data = t.data[i+1:]
		}
	}
}

// explain adds to an error the place in the Dockerfile and, where the display does
// not show it, what the step said last.
func (d *display) explain(err error, service string, logs *stepLogs) error {
	var text strings.Builder
	var at *errdefs.VertexError
	if errors.As(err, &at) && d.mode == progressui.QuietMode {
		logs.mu.Lock()
		if t := logs.tails[digest.Digest(at.Digest)]; t != nil && len(t.data) > 0 {
			fmt.Fprintf(&text, "------\n%s\n------\n", bytes.TrimRight(t.data, "\n"))
		}
		logs.mu.Unlock()
	}
	for _, s := range errdefs.Sources(err) {
		s.Print(&text)
	}
	if service != "" {
		fmt.Fprintf(&text, "target %s: ", service)
	}
	text.WriteString(err.Error())
	return errors.New(text.String())
}

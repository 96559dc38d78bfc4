package external

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// maxMessage bounds what is told of a program's failure.
const maxMessage = 2 << 10

// job is a directory for one command of a program.
type job struct {
	*home
	program program
	words   []string
	dir     string
}

func (h *home) newJob(p program) (*job, error) {
	dir, err := os.MkdirTemp(h.Path, "job-*")
	if err != nil {
		return nil, fmt.Errorf("cannot make a directory for a command: %w", err)
	}
	return &job{home: h, program: p, dir: dir}, nil
}

func (j *job) end() { os.RemoveAll(j.dir) }

func (j *job) argv() []string {
	return j.program.argv(j.home.Path, filepath.Join(j.dir, logName), j.words...)
}

// command is j's with what all have: a group of its own, since a Ctrl-C is not for
// it, and the host's root as working directory.
func (j *job) command(ctx context.Context) *exec.Cmd {
	argv := j.argv()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// run executes a command of the program and returns its standard output.
func (h *home) run(ctx context.Context, p program, words []string, input []byte) ([]byte, error) {
	j, err := h.newJob(p)
	if err != nil {
		return nil, err
	}
	defer j.end()
	j.words = words
	var out, complaint bytes.Buffer
	cmd := j.command(ctx)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, j.failure(err, complaint.String())
	}
	return out.Bytes(), nil
}

// failure is what a program that ended with err complained of.
func (j *job) failure(err error, complaint string) error {
	text := j.messages()
	if text == "" {
		text = strings.TrimSpace(complaint)
	}
	if len(text) > maxMessage {
		text = text[:maxMessage] + "…"
	}
	if text != "" {
		err = &commandError{text, err}
	}
	return fmt.Errorf("%s cannot %s container %s: %w", filepath.Base(j.program.path), j.words[0], j.ID, err)
}

// commandError is a program's own message about its failure.
type commandError struct {
	text string
	err  error
}

func (e *commandError) Error() string { return e.text }
func (e *commandError) Unwrap() error { return e.err }

// messages are the errors that the program wrote to its log, an object each, the last
// of which runc and crun mean, and runsc the first.
func (j *job) messages() string {
	f, err := os.Open(filepath.Join(j.dir, logName))
	if err != nil {
		return ""
	}
	defer f.Close()
	var all []string
	for d := json.NewDecoder(f); ; {
		var entry struct{ Level, Msg string }
		if err := d.Decode(&entry); err != nil {
			return strings.Join(all, "; ")
		}
		if entry.Msg != "" && (entry.Level == "error" || entry.Level == "fatal") {
			all = append(all, entry.Msg)
		}
	}
}

var errNoPid = errors.New("it wrote no pid file")

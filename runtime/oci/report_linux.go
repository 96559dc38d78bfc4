package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"stack/runtime"
)

// execError makes exec's own failures distinct from the process's: exit code 255.
type execError struct{ error }

func (e execError) Unwrap() error { return e.error }

// explain puts an error into the words that containerd and others look for in a
// runtime's output.
func explain(id string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, runtime.ErrNotFound):
		return fmt.Errorf("container %q does not exist", id)
	case errors.Is(err, runtime.ErrNotRunning):
		return fmt.Errorf("container not running: %w", err)
	case errors.Is(err, runtime.ErrExists):
		return fmt.Errorf("container with given ID already exists: %q", id)
	}
	return err
}

// report writes an error to standard error and to the log.
func (c *call) report(err error) {
	fmt.Fprintf(c.errors, "%s: %v\n", c.Name, err)
	c.log("error", err.Error())
}

// warn is report for what does not stop the command.
func (c *call) warn(text string) {
	if c.global.log == "" {
		fmt.Fprintf(c.errors, "%s: warning: %s\n", c.Name, text)
	}
	c.log("warning", text)
}

// log appends one line to the --log file; an error there has nowhere to go but
// standard error.
func (c *call) log(level, text string) {
	if c.global.log == "" {
		return
	}
	f, err := os.OpenFile(c.global.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err == nil {
		defer f.Close()
		err = writeLog(f, c.global.logFormat, level, text, time.Now())
	}
	if err != nil {
		fmt.Fprintf(c.errors, "%s: cannot write to the log: %v\n", c.Name, err)
	}
}

func writeLog(w io.Writer, format, level, text string, at time.Time) error {
	if format != "json" {
		_, err := fmt.Fprintf(w, "time=%q level=%s msg=%q\n", at.Format(time.RFC3339), level, text)
		return err
	}
	return json.NewEncoder(w).Encode(struct {
		Level string `json:"level"`
		Msg   string `json:"msg"`
		Time  string `json:"time"`
	}{level, text, at.Format(time.RFC3339)})
}

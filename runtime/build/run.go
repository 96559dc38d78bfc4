package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Program is the name of the program that builds, beside stack.
const Program = "stack-build"

// Runner says how jobs are run.
type Runner struct {
	// Path is the program's.
	Path string
	// Out gets the progress; a terminal is used as one.
	Out io.Writer
	// Err gets warnings.
	Err io.Writer
	// Env is the program's environment, nil for the caller's.
	Env []string
}

// cancelPatience is how long a cancelled job may take to end its steps.
const cancelPatience = 10 * time.Second

// Run has a job done and returns a result for each image, in the order in which they
// were finished. The error is about what concerns no single image; see Failure for
// the others.
func (r Runner) Run(ctx context.Context, job Job) ([]Result, error) {
	job.Version = Version
	data, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.CommandContext(ctx, r.Path, "run")
	cmd.Stdin, cmd.Stdout, cmd.Env = bytes.NewReader(data), r.Out, r.Env
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.ExtraFiles = []*os.File{write}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = cancelPatience
	err = cmd.Start()
	write.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot run %s, which belongs beside stack: %w", Program, err)
	}
	results, rerr := readResults(read)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return results, ctx.Err()
	}
	if err != nil {
		return results, fmt.Errorf("cannot build: %s", bytes.TrimSpace(append(said.Bytes(), []byte("\n"+err.Error())...)))
	}
	if r.Err != nil && said.Len() > 0 {
		r.Err.Write(said.Bytes())
	}
	return results, rerr
}

func readResults(r io.Reader) ([]Result, error) {
	var all []Result
	d := json.NewDecoder(r)
	for {
		var res Result
		err := d.Decode(&res)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, fmt.Errorf("cannot read the results of the build: %w", err)
		}
		all = append(all, res)
	}
}

// Failure is the first error among results that is not the consequence of another;
// nil if all succeeded.
func Failure(results []Result) error {
	var first string
	for _, r := range results {
		if r.Error != "" && !r.Canceled {
			return errors.New(r.Error)
		}
		if first == "" {
			first = r.Error
		}
	}
	if first != "" {
		return errors.New(first)
	}
	return nil
}

package external

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, id string) error {
	c, err := r.live(ctx, id, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer c.Close()
	if c.Has(startedName) {
		return fmt.Errorf("container %s has been started already", id)
	}
	var report *os.File
	if c.Launched {
		if report, err = c.openReport(); err != nil {
			return err
		}
		defer report.Close()
	}
	if err := r.act(ctx, c, []string{"start", id}, nil); err != nil {
		return err
	}
	if err := c.mark(startedName); err != nil {
		return err
	}
	if !c.Launched {
		return nil
	}
	err = r.outcome(ctx, report, c.Steps)
	var step *runtime.StepError
	if errors.As(err, &step) {
		return step
	}
	return err
}

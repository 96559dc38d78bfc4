package scheduler

import (
	"fmt"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"
)

// LogConfig is how a container's output is kept.
type LogConfig struct {
	// Discard keeps nothing (driver none).
	Discard  bool
	MaxSize  int64 // bytes of one file
	MaxFiles int
}

// Where the file says nothing, logs are bounded all the same.
const (
	defaultLogSize  = 16 << 20
	defaultLogFiles = 4
)

func (t *translator) log() (err error) {
	t.out.Log = LogConfig{MaxSize: defaultLogSize, MaxFiles: defaultLogFiles}
	driver, options := t.s.LogDriver, t.s.LogOpt
	if t.s.Logging != nil {
		driver, options = t.s.Logging.Driver, t.s.Logging.Options
	}
	switch driver {
	case "", "json-file", "local":
	case "none":
		t.out.Log.Discard = true
		return nil
	default:
		t.warn("logging driver %q is not available: output is kept in files", driver)
		return nil
	}
	if v := options["max-size"]; v != "" && v != "-1" {
		var size types.UnitBytes
		if err := size.DecodeMapstructure(v); err != nil || size <= 0 {
			return fmt.Errorf("logging option max-size: %q is not a size", v)
		}
		t.out.Log.MaxSize = int64(size)
	}
	if v := options["max-file"]; v != "" {
		if t.out.Log.MaxFiles, err = strconv.Atoi(v); err != nil || t.out.Log.MaxFiles < 1 {
			return fmt.Errorf("logging option max-file: %q is not a number above 0", v)
		}
	}
	return nil
}

package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"stack/runtime"
)

// record writes the exit record, trying again for as long as the disk is full.
func (s *server) record(r Request, exit runtime.Exit) {
	if r.Exit == "" {
		return
	}
	rec := ExitRecord{Version: 1, ID: r.ID, Pid: r.Pid, StartTime: r.StartTime, Exit: exit}
	err := writeRecord(r.Exit, rec)
	if err == nil {
		return
	}
	s.log.Error("cannot write exit record", "id", r.ID, "code", exit.Code, "error", err)
	if errors.Is(err, os.ErrNotExist) {
		return // the container was deleted
	}
	go func() {
		for wait := firstBackoff; err != nil && !errors.Is(err, os.ErrNotExist); wait = min(2*wait, maxBackoff) {
			time.Sleep(wait)
			err = writeRecord(r.Exit, rec)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wake()
	}()
}

// writeRecord keeps a record that is there for the same process already when
// the new one knows less.
func writeRecord(path string, rec ExitRecord) error {
	if rec.Unknown {
		if old, err := ReadExit(path); err == nil && old.Pid == rec.Pid && old.StartTime == rec.StartTime {
			return nil
		}
	}
	return writeJSON(path, rec)
}

// ReadExit reads the exit record at path. Errors: fs.ErrNotExist while the
// process lives.
func ReadExit(path string) (ExitRecord, error) {
	var rec ExitRecord
	b, err := os.ReadFile(path)
	if err != nil {
		return rec, err
	}
	if err := json.Unmarshal(b, &rec); err != nil {
		return rec, fmt.Errorf("cannot read exit record %q: %w", path, err)
	}
	return rec, nil
}

// writeJSON replaces the file at path in one step.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		os.Remove(tmp)
		return err
	}
	return os.Rename(tmp, path)
}

package scheduler

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
)

// journalMost is the size at which the journal is rotated to events.jsonl.1.
const journalMost = 4 << 20

// AppendEvent adds one line to the project's journal.
func (s *Store) AppendEvent(ev Event) error {
	b, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	path := s.EventsPath()
	if st, err := os.Stat(path); err == nil && st.Size() > journalMost {
		if err := os.Rename(path, path+".1"); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

// Events returns the journal, oldest first. Lines cut by a crash are passed over.
func (s *Store) Events() ([]Event, error) {
	var out []Event
	for _, path := range []string{s.EventsPath() + ".1", s.EventsPath()} {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var ev Event
			if json.Unmarshal(lines.Bytes(), &ev) == nil {
				out = append(out, ev)
			}
		}
		f.Close()
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

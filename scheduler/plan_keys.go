package scheduler

import (
	"fmt"
	"strings"

	"stack/spec"
)

// The causes of operations on replicas whose service is another than they were made of.
const (
	causeConfiguration = "its configuration changed"
	causeSettings      = "its settings changed, nothing that needs a new container"
)

// keysShown is how many changed keys a cause names.
const keysShown = 5

// nameKeys has the causes of a plan that is to be read name the keys that changed, as
// far as the revisions still have what the replicas were made of.
func (s *Store) nameKeys(p *Plan, want Want, seen Observed) {
	keys := map[string]string{}   // by service
	asked := map[[2]string]bool{} // configurations: replicas share theirs
	for _, i := range seen.Instances {
		now := want.Hashes[i.Service]
		if i.OneOff || now == "" || i.Hash == now || keys[i.Service] != "" || asked[[2]string{i.Service, i.Hash}] {
			continue
		}
		asked[[2]string{i.Service, i.Hash}] = true
		keys[i.Service] = shortened(s.changedKeys(i, want.Stack))
	}
	told := map[string]bool{}
	for n := range p.Ops {
		op := &p.Ops[n]
		replica := fmt.Sprint(op.Service, op.Number)
		if cause := named(op.Cause, keys[op.Service]); cause != op.Cause && !told[replica] {
			op.Cause, told[replica] = cause, true // once for each: a replacement has several
		}
	}
}

func named(cause, keys string) string {
	for _, general := range []string{causeConfiguration, causeSettings} {
		if keys != "" && strings.HasPrefix(cause, general) {
			return strings.Replace(cause, "changed", "changed ("+keys+")", 1)
		}
	}
	return cause
}

func (s *Store) changedKeys(i *Instance, now *spec.Stack) []string {
	h, err := s.LoadHistory(i.Service)
	if err != nil {
		return nil
	}
	for _, r := range h.Revisions {
		if r.Hash != i.Hash || r.Recipe == nil {
			continue
		}
		if old, err := spec.DecodeService(r.Recipe.Service); err == nil {
			return spec.ChangedKeys(old, now.Services[i.Service])
		}
	}
	return nil
}

func shortened(keys []string) string {
	if more := len(keys) - keysShown; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(keys[:keysShown], ", "), more)
	}
	return strings.Join(keys, ", ")
}

package spec

import (
	"context"
	"reflect"
	"testing"
)

// TestSharesAreTheWhole: a project loaded in shares, down to one service each, is
// the project loaded at once.
func TestSharesAreTheWhole(t *testing.T) {
	judged := 0
	for name, whole := range corpus(t) {
		o := Options{Files: []string{"testdata/good/" + name}, Environ: testEnviron}
		_, err := load(t.Context(), o, func(j *job) error {
			if j.model.composed || len(j.model.services) < 2 {
				return nil
			}
			judged++
			p, err := j.inShares(t.Context(), len(j.model.services))
			if err != nil {
				return err
			}
			p.ComposeFiles = j.src.paths
			alignReplicas(p)
			if p, err = j.narrow(p); err == nil && !reflect.DeepEqual(p, whole.Project) {
				t.Errorf("%s: the projects differ", name)
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if judged < 5 {
		t.Errorf("only %d files have services to share", judged)
	}
}

// TestSharesOfALargeFile: the same for the number of shares that Load chooses.
func TestSharesOfALargeFile(t *testing.T) {
	o := Options{Dir: tempFiles(t, map[string]string{"stack.yaml": large(3000)})}
	var one, two any
	_, err := load(t.Context(), o, func(j *job) (err error) {
		if one, err = j.inShares(context.Background(), 1); err == nil {
			two, err = j.inShares(context.Background(), 2)
		}
		return err
	})
	if err != nil || !reflect.DeepEqual(one, two) {
		t.Errorf("the projects differ (%v)", err)
	}
}

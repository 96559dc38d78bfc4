package main

import (
	"fmt"

	"stack/scheduler"
	"stack/spec"
)

// askOfVolumes asks whether volumes that were made from another declaration are to be
// made anew, which loses what they hold. One that is not stays as it is, with a warning.
func (a *app) askOfVolumes(st *spec.Stack, c *scheduler.Command, yes bool) error {
	services, err := involved(st, c.Services, c.NoDeps)
	if err != nil {
		return err
	}
	for _, name := range a.storeOf(st.Name).ChangedVolumes(st, services) {
		if yes || a.agreed(fmt.Sprintf("Volume %s does not match its configuration in the stack file. Recreate it (its data will be lost)?", name)) {
			c.RecreateVolumes = append(c.RecreateVolumes, name)
		}
	}
	return nil
}

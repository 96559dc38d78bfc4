package scheduler

import (
	"maps"
	"strconv"

	"stack/runtime"
)

// publish tells what happened to a container, on the bus and in the journal.
func (c *Controller) publish(i *Instance, ev Event) {
	ev.Type = "container"
	if ev.Error == "" && c.quiet.has(i.Service) {
		ev.Progress = ""
	}
	ev.Service, ev.Name, ev.ID = i.Service, i.Name, i.ID
	attributes := map[string]string{"image": i.Image, "name": i.Name}
	maps.Copy(attributes, ev.Attributes)
	ev.Attributes = attributes
	c.emit(ev)
}

// emit completes an event and hands it out; those with an action are recorded.
func (c *Controller) emit(ev Event) {
	ev.Time = c.Now()
	ev.Project = c.Store.Project
	c.Bus.Publish(ev)
	if ev.Action == "" {
		return
	}
	c.tally.event(ev)
	if err := c.Store.AppendEvent(ev); err != nil {
		c.Log.Warn("cannot record event", "error", err)
	}
}

func exitAttributes(exit runtime.Exit) map[string]string {
	return map[string]string{"exitCode": strconv.Itoa(exit.Code)}
}

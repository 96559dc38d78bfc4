package inspect

import (
	"time"

	"stack/scheduler"
)

// Volume is a volume as Docker shows it.
type Volume struct {
	CreatedAt  time.Time
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Options    map[string]string
	Scope      string
}

// NewVolume shows a volume; dir holds its files.
func NewVolume(v scheduler.Volume, dir string) Volume {
	labels := v.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	options := v.Options
	if options == nil {
		options = map[string]string{}
	}
	return Volume{v.Created, "local", labels, dir, v.Name, options, "local"}
}

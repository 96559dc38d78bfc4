package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"

	"stack/netns"
	"stack/runtime/image"
	"stack/scheduler"
)

// openNetwork gives access to the machine's networks for a project; "" is for
// looking and for networks of no project.
func (a *app) openNetwork(project string) (*netns.Host, error) {
	return netns.Open(netns.Options{State: a.layout.Networks(), Project: project})
}

func (a *app) openImages() (*image.Store, error) {
	return image.Open(a.layout.Images(), nil)
}

// requireRoot gives the command to type for what only root can change.
func requireRoot() error {
	if os.Geteuid() != 0 {
		return errors.New(needRoot(os.Args))
	}
	return nil
}

// say prints the name of what was removed, unless that failed.
func (a *app) say(name string, err error) error {
	if err == nil {
		fmt.Fprintln(a.stdout, name)
	}
	return err
}

// containers lists every project's; one that cannot be read is told and passed over.
func (a *app) containers() ([]scheduler.Container, error) {
	all, err := a.layout.Containers(time.Now())
	if err != nil && len(all) == 0 {
		return nil, err
	}
	if err != nil {
		fmt.Fprintln(a.stderr, "warning:", err)
	}
	return all, nil
}

// findContainers looks names up; the error names all that are missing.
func (a *app) findContainers(names []string) ([]scheduler.Container, error) {
	all, err := a.containers()
	if err != nil {
		return nil, err
	}
	var found []scheduler.Container
	var errs []error
	for _, name := range names {
		c, err := scheduler.FindContainer(all, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, c)
	}
	return found, errors.Join(errs...)
}

// doQuiet sends a command and shows only its warnings.
func (a *app) doQuiet(ctx context.Context, s *scheduler.Store, cmd scheduler.Command) error {
	p := newProgress(a)
	return a.send(ctx, s, cmd, func(r scheduler.Reply) {
		if r.Warning != "" {
			p.show(r)
		}
	})
}

// parseLabels reads KEY=VALUE and KEY.
func parseLabels(args []string) map[string]string {
	labels := map[string]string{}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		labels[key] = value
	}
	return labels
}

// labelText is labels as tables show them: sorted, K=V, separated by commas.
func labelText(labels map[string]string) string {
	out := make([]string, 0, len(labels))
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, k+"="+labels[k])
	}
	return strings.Join(out, ",")
}

// shortID is what tables show of an ID or digest.
func shortID(id string) string {
	if _, hex, ok := strings.Cut(id, ":"); ok {
		id = hex
	}
	return id[:min(12, len(id))]
}

// dockerTime is a time as Docker's tables and JSON lines have it.
func dockerTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 -0700 MST") }

// size is a number of bytes in decimal units, as of disks and networks.
func size(n uint64) string { return units.HumanSizeWithPrecision(float64(n), 3) }

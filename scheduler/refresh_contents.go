package scheduler

import (
	"context"
	"strings"

	"github.com/moby/sys/signal"

	"stack/spec"
)

// rewrite brings the contents of configs and secrets into the running container, and
// tells its program by the signal that x-stack asks for.
func (r *refreshed) rewrite(ctx context.Context) error {
	if r.c.Files == nil || len(r.svc.Configs)+len(r.svc.Secrets) == 0 {
		return nil
	}
	secrets, err := contents(r.objects, r.files, used(r.objects.Secrets, sources(r.svc.Secrets)))
	if err != nil {
		return err
	}
	configs, err := contents(r.objects, r.files, used(r.objects.Configs, sources(r.svc.Configs)))
	if err != nil {
		return err
	}
	files, err := objectFiles(r.svc, secrets, configs, nil)
	if err != nil {
		return err
	}
	if r.changed, err = r.c.Files.Rewrite(ctx, r.i.ID, files); err != nil {
		if gone(err) { // its next start has them
			return nil
		}
		return err
	}
	return r.signal(ctx)
}

// signal tells the program of changed contents.
func (r *refreshed) signal(ctx context.Context) error {
	x, err := spec.ServiceExtension(r.svc)
	if err != nil || len(r.changed) == 0 || x.OnConfigChange == "" {
		return err
	}
	sig, err := signal.ParseSignal(x.OnConfigChange)
	if err != nil {
		return err
	}
	if err := r.c.Runtime.Kill(ctx, r.i.ID, sig, false); err != nil && !gone(err) {
		return err
	}
	r.c.publish(&r.was, Event{Action: "kill", Attributes: map[string]string{"signal": signalName(sig)}})
	return nil
}

// told are the attributes of the event of an update.
func (r *refreshed) told() map[string]string {
	if len(r.changed) == 0 {
		return nil
	}
	return map[string]string{"rewritten": strings.Join(r.changed, " ")}
}

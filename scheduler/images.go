package scheduler

import (
	"cmp"
	"context"
	"fmt"
	"maps"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/image"
)

// resolveImage performs OpImage.
func (c *Controller) resolveImage(ctx context.Context, op Op) error {
	_, err := c.image(ctx, op.Service)
	return err
}

// image returns the image of a service, resolving it once a command.
func (c *Controller) image(ctx context.Context, service string) (image.Image, error) {
	c.mu.Lock()
	img, ok := c.images[service]
	svc, known := c.want.Stack.Services[service]
	c.mu.Unlock()
	switch {
	case ok:
		return img, nil
	case !known:
		return image.Image{}, fmt.Errorf("no such service: %s", service)
	}
	img, err := c.imageOf(ctx, service, ImageName(c.Store.Project, svc), svc.Platform)
	if err != nil {
		return image.Image{}, err
	}
	sources := map[string]image.Image{}
	for _, v := range svc.Volumes {
		if v.Type == types.VolumeTypeImage {
			if sources[v.Source], err = c.imageOf(ctx, service, v.Source, ""); err != nil {
				return image.Image{}, err
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.images[service] = img
	c.sources[service] = digestsOf(sources)
	return img, nil
}

// imageOf resolves an image that a service names, its own or another.
func (c *Controller) imageOf(ctx context.Context, service, ref, platform string) (image.Image, error) {
	c.mu.Lock()
	base := c.want.Stack.WorkingDir
	c.mu.Unlock()
	img, err := c.Images.Resolve(ctx, image.Absolute(ref, base), platform)
	if err != nil {
		return image.Image{}, fmt.Errorf("service %q: %w", service, err)
	}
	return img, nil
}

// describe fills in what is known of an instance before it runs.
func (c *Controller) describe(i *Instance, svc types.ServiceConfig, img image.Image) error {
	id := i.identity()
	t := &translator{in: TranslateInput{Project: c.want.Stack.Project, Service: svc, Image: img, Instance: id, ConfigHash: i.Hash, Version: c.Version}, s: svc}
	t.stopSettings()
	i.StopSignal, i.Grace, i.TTY = t.out.StopSignal, t.out.StopGrace, svc.Tty
	i.Command = t.args()
	i.Labels = map[string]string{}
	for _, labels := range []map[string]string{img.Config.Labels, svc.Labels, svc.CustomLabels, t.composeLabels()} {
		maps.Copy(i.Labels, labels)
	}
	check, err := ServiceProbe(svc, img.Healthcheck)
	if err != nil {
		return fmt.Errorf("service %q: %w", svc.Name, err)
	}
	if i.OneOff {
		check = Probe{}
	}
	i.Check = check
	return nil
}

// objectLabels are the labels of a volume or network of the project.
func objectLabels(own map[string]string, project, kind, key string) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, own)
	labels["com.docker.compose.project"] = project
	if key != "" {
		labels["com.docker.compose."+kind] = key
	}
	return labels
}

// compareNames orders container names so that web-2 comes before web-10. Every turn
// sorts every container: it allocates nothing.
func compareNames(a, b string) int {
	for a != "" && b != "" {
		var x, y piece
		x, a = cutPiece(a)
		y, b = cutPiece(b)
		if c := cmp.Or(cmp.Compare(x.number, y.number), cmp.Compare(x.text, y.text)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// piece is a run of digits, or of other characters, of a name.
type piece struct {
	text   string
	number int
}

// cutPiece splits off the first run.
func cutPiece(s string) (p piece, rest string) {
	digit := isDigit(s[0])
	n := 0
	for n < len(s) && isDigit(s[n]) == digit && (!digit || n < 9) {
		if digit {
			p.number = p.number*10 + int(s[n]-'0')
		}
		n++
	}
	if !digit {
		p.text = s[:n]
	}
	return p, s[n:]
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

package scheduler

import (
	"context"
	"fmt"
	"maps"
	"slices"

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
	img, err := c.imageOf(ctx, service, svc.Image)
	if err != nil {
		return image.Image{}, err
	}
	sources := map[string]image.Image{}
	for _, v := range svc.Volumes {
		if v.Type == types.VolumeTypeImage {
			if sources[v.Source], err = c.imageOf(ctx, service, v.Source); err != nil {
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
func (c *Controller) imageOf(ctx context.Context, service, ref string) (image.Image, error) {
	c.mu.Lock()
	base := c.want.Stack.WorkingDir
	c.mu.Unlock()
	img, err := c.Images.Resolve(ctx, image.Absolute(ref, base))
	if err != nil {
		return image.Image{}, fmt.Errorf("service %q: %w", service, err)
	}
	return img, nil
}

// describe fills in what is known of an instance before it runs.
func (c *Controller) describe(i *Instance, svc types.ServiceConfig, img image.Image) error {
	id := Identity{ID: i.ID, Name: i.Name, Number: i.Number, OneOff: i.OneOff}
	t := &translator{in: TranslateInput{Project: c.want.Stack.Project, Service: svc, Image: img, Instance: id, ConfigHash: i.Hash, Version: c.Version}, s: svc}
	t.stopSettings()
	i.StopSignal, i.Grace, i.TTY = t.out.StopSignal, t.out.StopGrace, svc.Tty
	i.Command = t.args()
	i.Labels = map[string]string{}
	for _, labels := range []map[string]string{img.Config.Labels, svc.Labels, svc.CustomLabels, t.composeLabels()} {
		maps.Copy(i.Labels, labels)
	}
	check, err := NewProbe(svc.HealthCheck, img.Healthcheck)
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

// compareNames orders container names so that web-2 comes before web-10.
func compareNames(a, b string) int {
	return slices.CompareFunc(pieces(a), pieces(b), func(x, y piece) int {
		if x.number != y.number || x.text == "" && y.text == "" {
			return x.number - y.number
		}
		if x.text < y.text {
			return -1
		}
		if x.text > y.text {
			return 1
		}
		return 0
	})
}

type piece struct {
	text   string
	number int
}

// pieces splits a name into runs of digits and of other characters.
func pieces(s string) []piece {
	var out []piece
	for i := 0; i < len(s); {
		j := i
		digit := isDigit(s[i])
		for j < len(s) && isDigit(s[j]) == digit && (!digit || j-i < 9) {
			j++
		}
		p := piece{text: s[i:j]}
		if digit {
			p = piece{}
			for _, d := range s[i:j] {
				p.number = p.number*10 + int(d-'0')
			}
		}
		out = append(out, p)
		i = j
	}
	return out
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

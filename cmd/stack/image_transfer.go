package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"stack/runtime/image"
	"stack/scheduler"
)

// parallelImages is how many images are pulled or pushed at a time.
const parallelImages = 3

// imageTransfer shows the progress of images on their way, each a row or a few lines.
type imageTransfer struct {
	mu sync.Mutex
	p  *progress
	// layers are the latest news of each image's layers, in the order of the first.
	layers map[string][]image.Progress
}

func newImageTransfer(a *app, quiet bool) *imageTransfer {
	p := newProgress(a)
	if quiet {
		p.mode, p.board = "quiet", nil
	}
	return &imageTransfer{p: p, layers: map[string][]image.Progress{}}
}

// say tells what became of an image; note is added behind the word.
func (t *imageTransfer) say(name, word, note string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ev := &scheduler.Event{Time: time.Now(), Type: "image", Name: name, Progress: word}
	if note != "" {
		ev.Progress += " " + note
	}
	if word == "Error" {
		ev.Progress, ev.Error = word, note
	}
	if t.p.board != nil {
		t.p.board.note("Image", name, "", nil)
	}
	t.p.show(scheduler.Reply{Event: ev})
}

// typeLayer is the type of events about an image's layers, which only programs see.
const typeLayer = "layer"

// layer is told of an image's layers: bars on a terminal, JSON for programs,
// nothing in plain lines.
func (t *imageTransfer) layer(name string) func(image.Progress) {
	return func(now image.Progress) {
		t.mu.Lock()
		defer t.mu.Unlock()
		at := slices.IndexFunc(t.layers[name], func(l image.Progress) bool { return l.Layer == now.Layer })
		if at < 0 {
			t.layers[name] = append(t.layers[name], now)
		} else {
			t.layers[name][at] = now
		}
		switch {
		case t.p.board != nil:
			t.p.board.note("Image", name, bar(t.layers[name]), t.layers[name])
		case t.p.mode == "json":
			t.p.show(scheduler.Reply{Event: &scheduler.Event{
				Time: time.Now(), Type: typeLayer, Name: name, ID: now.Layer, Progress: now.Status,
				Attributes: map[string]string{"current": strconv.FormatInt(now.Current, 10), "total": strconv.FormatInt(now.Total, 10)},
			}})
		}
	}
}

// bar sums an image's layers up: fetched in the first half, unpacked in the second.
func bar(layers []image.Progress) string {
	var have, total int64
	for _, l := range layers {
		total += 2 * l.Total
		switch l.Status {
		case "Waiting":
		case "Downloading", "Pushing":
			have += l.Current
		case "Download complete":
			have += l.Total
		case "Extracting":
			have += l.Total + l.Current
		default:
			have += 2 * l.Total
		}
	}
	if total == 0 {
		return ""
	}
	return fmt.Sprintf("[%s] %s", gauge(have, total), size(uint64(total/2)))
}

// each runs a transfer for every name, some at a time. All are tried, and all
// errors returned.
func (t *imageTransfer) each(ctx context.Context, names []string, do func(ctx context.Context, name string) error) error {
	var g errgroup.Group
	g.SetLimit(parallelImages)
	errs := make([]error, len(names))
	for i, name := range names {
		g.Go(func() error {
			switch errs[i] = do(ctx, name); {
			case errs[i] == nil:
			case ctx.Err() != nil:
				t.say(name, "Interrupted", "")
			default:
				t.say(name, "Error", errs[i].Error())
			}
			return nil
		})
	}
	g.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(errs...)
}

// pull brings one image and shows it.
func (t *imageTransfer) pull(ctx context.Context, store *image.Store, from image.Remote, name, ref, platform string) (image.Record, error) {
	t.say(name, "Pulling", "")
	rec, _, err := store.Pull(ctx, from, ref, image.PullOptions{Platform: platform, Progress: t.layer(name)})
	if err == nil {
		t.say(name, "Pulled", "")
	}
	return rec, err
}

package scheduler

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/image"
	"stack/spec"
)

// noteRevisions records what services are wished to be, once it is known what their
// images mean; called under mu, every turn, before the plan.
func (c *Controller) noteRevisions() {
	if c.want.Down {
		return
	}
	known := true
	for _, name := range slices.Sorted(maps.Keys(c.want.Services)) {
		sw := c.want.Services[name]
		svc, declared := c.want.Stack.Services[name]
		_, resolved := c.images[name]
		switch {
		case !declared || sw.Goal != GoalRun:
		case sw.Rollback != nil:
			c.noteReturn(name, *sw.Rollback)
		case resolved && !sw.NoRecreate && c.want.Hashes[name] == sw.Hash && c.keepImage(name, svc):
			c.noteRevision(name, svc, c.images[name])
		}
		known = known && (resolved || sw.Look <= c.want.Looked || !declared || !sw.Goal.has())
	}
	c.noteLook(known)
}

// noteLook records that the images are known which the last commands asked for: a
// later controller does not look again.
func (c *Controller) noteLook(known bool) {
	newest := c.want.Looked
	for _, sw := range c.want.Services {
		newest = max(newest, sw.Look)
	}
	if !known || newest == c.want.Looked {
		return
	}
	c.want.Looked = newest
	if err := c.Store.SaveWish(c.want.Wish); err != nil {
		c.Log.Error("cannot record that images are known", "error", err)
	}
}

// keepImage sees that a configuration which nobody asked another image for, as that of
// a live file after a controller's death, has the image of the one before. It reports
// whether there may be something to note.
func (c *Controller) keepImage(name string, svc types.ServiceConfig) bool {
	h := c.histories[name]
	if c.looked[name] || h == nil {
		return true
	}
	now := h.Revision(h.Current)
	if now == nil || now.Image != svc.Image {
		return true
	}
	if now.Hash == c.want.Hashes[name] {
		return false
	}
	full, err := c.Store.LoadHistory(name)
	if err != nil {
		c.Log.Error("cannot read revisions", "service", name, "error", err)
		return false
	}
	if r := full.Revision(now.Number); r != nil {
		c.pin(name, r) // or the one that is here, if it is gone
	}
	return true
}

// noteRevision records the present configuration of a service, unless it is already.
func (c *Controller) noteRevision(name string, svc types.ServiceConfig, img image.Image) {
	r := Revision{
		Sequence: c.want.Sequence, Created: c.Now(), Hash: c.want.Hashes[name],
		Digest: img.Digest, Sources: c.sources[name], Image: svc.Image,
	}
	if h := c.histories[name]; h != nil {
		now := h.Revision(h.Current)
		if now != nil && now.Hash == r.Hash && now.Digest == r.Digest && maps.Equal(now.Sources, r.Sources) {
			return
		}
	}
	r.Recipe = c.recipe(svc, img)
	eachContent(objectsWithContents(c.want.Stack.Project, svc), func(_ string, content *string) { r.Secrets = append(r.Secrets, contentDigest(*content)) })
	c.editHistory(name, func(h *History) {
		h.add(r)
		h.Sequence, h.Update = c.want.Sequence, UpdateUpdating
	})
	if h := c.histories[name]; h != nil && h.Good != 0 {
		c.tellUpdate(name, UpdateUpdating, "")
	}
}

// objectsWithContents is the part of a project with the secrets that a service names.
func objectsWithContents(p *types.Project, svc types.ServiceConfig) *types.Project {
	out := &types.Project{Secrets: types.Secrets{}}
	for _, s := range svc.Secrets {
		keep(out.Secrets, p.Secrets, s.Source)
	}
	return out
}

// recipe is what replicas of the present configuration are made of; called under mu.
func (c *Controller) recipe(svc types.ServiceConfig, img image.Image) *Recipe {
	st := c.want.Stack
	r := &Recipe{Image: img, Digests: map[string]string{}, Contents: map[string]string{}}
	// What can be decoded, as the stack was, can be encoded.
	r.Service, _ = spec.EncodeService(svc)
	r.Objects, _ = spec.Encode(&spec.Stack{Project: objectsOf(st.Project, svc)})
	for _, s := range svc.Secrets {
		o, _ := object(st.Project, "secret", s.Source)
		r.Digests["secrets/"+s.Source] = digestOf(st, "secrets/"+s.Source, o)
	}
	for _, s := range svc.Configs {
		id := "configs/" + s.Source
		o, _ := object(st.Project, "config", s.Source)
		r.Digests[id] = digestOf(st, id, o)
		if text, ok := configContent(st, id, o); ok {
			r.Contents[id] = text
		}
	}
	return r
}

// configContent is a config's content, if it is still that which the load met, and
// not too long to keep.
func configContent(st *spec.Stack, id string, o types.FileObjectConfig) (string, bool) {
	if bool(o.External) {
		return "", false
	}
	text := o.Content
	if o.File != "" {
		path := spec.Absolute(st.WorkingDir, o.File)
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || info.Size() > contentMost {
			return "", false
		}
		b, err := os.ReadFile(path)
		if err != nil || "sha256:"+st.Digests[id] != contentDigest(string(b)) {
			return "", false
		}
		text = string(b)
	}
	return text, len(text) <= contentMost
}

// noteReturn records that a service was taken back, unless it is already.
func (c *Controller) noteReturn(name string, back Rollback) {
	if h := c.histories[name]; h == nil || h.Sequence == back.Sequence {
		return
	}
	c.editHistory(name, func(h *History) {
		if from := h.Revision(back.From); from != nil && back.Cause != "" {
			from.Failed = back.Cause
		}
		h.Current, h.Sequence, h.Update = back.To, back.Sequence, RollbackStarted
		h.From, h.Cause = back.From, back.Cause
	})
	c.tellUpdate(name, RollbackStarted, back.Cause)
}

// noteProgress records how far the updates have come; called under mu, after the plan.
func (c *Controller) noteProgress() {
	for name, s := range c.plan.Services {
		h := c.histories[name]
		if s.Update == "" || h == nil || h.Update == s.Update {
			continue
		}
		first := h.Good == 0
		c.editHistory(name, func(h *History) {
			h.Update = s.Update
			switch s.Update {
			case UpdatePaused, RollbackPaused:
				h.Cause = s.Failed
			case UpdateUpdating:
				h.Cause = ""
			}
			if !s.Update.Over() {
				return
			}
			h.Good = h.Current
			if r := h.Revision(h.Current); r != nil && r.Proved.IsZero() {
				r.Proved = c.Now()
			}
		})
		if !first {
			c.tellUpdate(name, s.Update, s.Failed)
		}
	}
}

// tellUpdate publishes how far an update of a service is; the attributes are Docker's
// but for the revision.
func (c *Controller) tellUpdate(service string, state UpdateState, cause string) {
	words := map[UpdateState]string{
		UpdatePaused: "Update paused", RollbackStarted: "Rolling back", RollbackPaused: "Rollback paused", RollbackCompleted: "Rolled back",
	}
	h := c.histories[service]
	ev := Event{Type: "service", Action: "update", Service: service, Name: service, Progress: words[state], Error: cause,
		Attributes: map[string]string{"name": service, "updatestate.new": string(state), "revision": strconv.Itoa(h.Current)}}
	if cause != "" {
		ev.Attributes["cause"] = cause
	}
	c.emit(ev)
}

// editHistory changes a service's revisions, in memory and on disk. As with an
// instance, a full disk is told and does not stop the loop.
func (c *Controller) editHistory(service string, f func(*History)) {
	h, err := c.Store.LoadHistory(service)
	if err == nil {
		f(&h)
		err = c.Store.saveHistory(service, h)
	}
	if err != nil {
		c.Log.Error("cannot record revision", "service", service, "error", err)
		if h.Current == 0 {
			return
		}
	}
	c.histories[service] = h.light()
}

// updates are the ways of services to configurations that have not proved themselves.
func updates(histories map[string]*History) map[string]Update {
	out := map[string]Update{}
	for name, h := range histories {
		if h.Update.Over() {
			continue
		}
		u := Update{Sequence: h.Sequence}
		if h.Good != h.Current && h.Revision(h.Good) != nil {
			u.Good = h.Good
		}
		out[name] = u
	}
	return out
}

// goOn takes up updates that an earlier controller began, and what services were
// taken back to: their images are those of the revision, whatever their names mean
// by now.
func (c *Controller) goOn() error {
	for name, sw := range c.want.Services {
		if sw.Look > c.want.Looked {
			c.looked[name] = true
		}
	}
	for name, h := range c.histories {
		back, number := c.want.Services[name].Rollback, h.Current
		if back != nil {
			number = back.To
		} else if h.Update.Over() {
			continue
		}
		full, err := c.Store.LoadHistory(name)
		if err != nil {
			return err
		}
		if r := full.Revision(number); r != nil {
			c.pin(name, r)
		}
	}
	return nil
}

// pin makes a revision's image that of the service, if it is still here.
func (c *Controller) pin(service string, r *Revision) bool {
	if !r.here() {
		return false
	}
	c.images[service], c.sources[service], c.looked[service] = r.Recipe.Image, r.Sources, true
	return true
}

// here reports whether the image of a revision is still on this machine.
func (r *Revision) here() bool {
	for _, dir := range r.Recipe.Image.Layers {
		if _, err := os.Stat(dir); err != nil {
			return false
		}
	}
	return true
}

// gone is the error of a return to what is not here.
func (r *Revision) gone() error {
	return fmt.Errorf("the image of revision %d (%s) is not on this machine any more", r.Number, r.Image)
}

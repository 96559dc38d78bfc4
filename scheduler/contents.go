package scheduler

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// The contents of secrets and configs that come from the environment or the file
// itself stay in the wish: what is recorded of a container names them by digest.
// A content that a newer file replaced is kept in Wish.Contents for as long as a
// container needs it to restart as it was, or a failed update to be rolled back.

func contentDigest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// inline reports whether an object's content came with the stack.
func inline(o types.FileObjectConfig) bool { return o.File == "" && !bool(o.External) }

// seal replaces the contents in p by their digests.
func seal(p *types.Project) {
	eachContent(p, func(_ string, content *string) { *content = contentDigest(*content) })
}

// unseal puts contents back: those of now where they are the same, else kept ones.
// One that is neither leaves its object out, which fails who needs it.
func unseal(p, now *types.Project, kept map[string]string) {
	present := map[string]string{}
	eachContent(now, func(_ string, content *string) { present[contentDigest(*content)] = *content })
	eachContent(p, func(key string, content *string) {
		if text, ok := present[*content]; ok {
			*content = text
		} else if text, ok := kept[*content]; ok {
			*content = text
		} else {
			delete(p.Secrets, key)
			delete(p.Configs, key)
		}
	})
}

// eachContent visits the inline contents of p, which may be changed.
func eachContent(p *types.Project, visit func(key string, content *string)) {
	for key, s := range p.Secrets {
		if o := types.FileObjectConfig(s); inline(o) {
			old := o.Content
			if visit(key, &o.Content); o.Content != old {
				p.Secrets[key] = types.SecretConfig(o)
			}
		}
	}
	for key, s := range p.Configs {
		if o := types.FileObjectConfig(s); inline(o) {
			old := o.Content
			if visit(key, &o.Content); o.Content != old {
				p.Configs[key] = types.ConfigObjConfig(o)
			}
		}
	}
}

// keepContents notes in w what the present stack holds and some container needs,
// before w's stack takes its place; called under mu.
func (c *Controller) keepContents(w *Wish) {
	held := maps.Clone(w.Contents)
	if held == nil {
		held = map[string]string{}
	}
	eachContent(c.want.Stack.Project, func(_ string, content *string) { held[contentDigest(*content)] = *content })
	w.Contents = nil
	eachContent(w.Stack.Project, func(_ string, content *string) { delete(held, contentDigest(*content)) })
	if len(held) == 0 {
		return
	}
	need := func(digest string) {
		if text, ok := held[digest]; ok {
			if w.Contents == nil {
				w.Contents = map[string]string{}
			}
			w.Contents[digest] = text
		}
	}
	for id := range c.instances {
		for _, digest := range c.Store.contentsOf(id) {
			need(digest)
		}
	}
	for _, h := range c.histories {
		if r := h.Revision(h.Good); r != nil {
			for _, digest := range r.Secrets {
				need(digest)
			}
		}
	}
}

// contentsOf lists the digests that are recorded of a container.
func (s *Store) contentsOf(id string) (digests []string) {
	d, err := s.LoadDetails(id)
	if err != nil || len(d.objects) == 0 {
		return nil
	}
	st, err := spec.Decode(d.objects)
	if err != nil {
		return nil
	}
	eachContent(st.Project, func(_ string, content *string) { digests = append(digests, *content) })
	return digests
}

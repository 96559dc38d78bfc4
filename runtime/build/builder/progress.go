package builder

import (
	"context"
	"time"

	"github.com/moby/buildkit/util/progress"

	"stack/runtime/image"
)

// layerProgress shows the layers of a pull as the lines below its step. The news of a
// build end only when end was called.
func layerProgress(ctx context.Context) (say func(image.Progress), end func() error) {
	w, _, _ := progress.NewFromContext(ctx)
	started := map[string]time.Time{}
	return func(now image.Progress) {
		at := time.Now()
		if started[now.Layer].IsZero() {
			started[now.Layer] = at
		}
		begun := started[now.Layer]
		st := progress.Status{Action: now.Status, Current: int(now.Current), Total: int(now.Total), Started: &begun}
		if now.Status == "Pull complete" || now.Status == "Already exists" {
			st.Completed = &at
		}
		w.Write(now.Layer, st)
	}, w.Close
}

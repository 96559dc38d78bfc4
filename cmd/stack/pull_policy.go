package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/xhit/go-str2duration/v2"

	"stack/runtime/image"
)

// wantedImage is an image of a registry that services name.
type wantedImage struct {
	ref, platform string
	service       string // the first that names it
	policy        string
	after         time.Duration // of policy refresh
	built         bool          // the service can build it
}

// wantedImages are the images of a service: its own, those of its hooks and volumes.
// policy replaces the service's unless it is "" or "policy".
func wantedImages(svc types.ServiceConfig, policy string) ([]wantedImage, error) {
	if policy != "" && policy != "policy" {
		svc.PullPolicy, svc.PullRefreshAfter = policy, ""
	}
	word, after, err := svc.GetPullPolicy()
	if err != nil {
		return nil, fmt.Errorf("service %q: %w", svc.Name, err)
	}
	if word == types.PullPolicyRefresh && svc.PullRefreshAfter != "" {
		if after, err = str2duration.ParseDuration(svc.PullRefreshAfter); err != nil {
			return nil, fmt.Errorf("service %q: cannot read pull_refresh_after: %w", svc.Name, err)
		}
	}
	own := wantedImage{svc.Image, svc.Platform, svc.Name, word, after, svc.Build != nil}
	all := []wantedImage{own}
	for _, h := range svc.PreStart {
		if h.Image != "" && (h.Image != own.ref || h.Platform != own.platform) {
			all = append(all, wantedImage{h.Image, h.Platform, svc.Name, word, after, false})
		}
	}
	for _, v := range svc.Volumes {
		if v.Type == types.VolumeTypeImage {
			all = append(all, wantedImage{v.Source, "", svc.Name, word, after, false})
		}
	}
	var out []wantedImage
	for _, w := range all {
		if w.ref != "" && image.IsRegistry(w.ref) {
			out = append(out, w)
		}
	}
	return out, nil
}

// due decides whether `up` asks the registry. rec is what is here, if ok.
func (w wantedImage) due(rec image.Record, ok bool, now time.Time) bool {
	switch w.policy {
	case types.PullPolicyAlways:
		return true
	case types.PullPolicyNever, types.PullPolicyBuild:
		return false
	case types.PullPolicyRefresh:
		return !ok && !w.built || ok && now.After(rec.Unpacked.Add(w.after))
	}
	return !ok && !w.built
}

// skipped tells why an explicit pull leaves the image alone, or "".
func (w wantedImage) skipped(present, ignoreBuildable bool) string {
	switch w.policy {
	case types.PullPolicyNever, types.PullPolicyBuild:
		return "pull_policy is " + w.policy
	case types.PullPolicyMissing, types.PullPolicyIfNotPresent:
		if full, _ := image.Complete(w.ref); present && !strings.HasSuffix(full, ":latest") {
			return "Image is already present locally"
		}
	}
	if w.built && ignoreBuildable {
		return "Image can be built"
	}
	return ""
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stack/runtime/native/rootfs"
	"stack/scheduler"
	"stack/spec"
)

// newLiveLoad is the hidden verb in which the controller loads the files of a live
// stack: who can write them gets neither the controller's memory nor its view of the
// host. The request comes on standard input, the answer goes to standard output.
func newLiveLoad(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "live-load", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r liveRequest
			if err := json.NewDecoder(a.stdin).Decode(&r); err != nil {
				return err
			}
			answer, err := r.carryOut(cmd.Context(), a)
			if err != nil {
				return err
			}
			return json.NewEncoder(a.stdout).Encode(answer)
		},
	}
}

// liveRequest asks for a load, or with Spec for what comes before starts.
type liveRequest struct {
	Source  scheduler.LiveSource
	Project string
	View    *rootfs.View `json:",omitempty"` // to be confined to

	Spec     []byte   `json:",omitempty"`
	Services []string `json:",omitempty"`
}

type liveAnswer struct {
	Spec    []byte `json:",omitempty"` // nil when the load failed
	Problem scheduler.LiveProblem
	Reads   []string
	// Others are the names, of the source's Others, that the files name.
	Others []string
	// Unconfined is why nothing was loaded.
	Unconfined string
}

func (r liveRequest) carryOut(ctx context.Context, a *app) (liveAnswer, error) {
	a.files, a.envFiles, a.profiles, a.dir, a.project = r.Source.Files, r.Source.EnvFiles, r.Source.Profiles, r.Source.ProjectDir, r.Project
	if r.Spec != nil {
		return r.prepare(ctx, a)
	}
	if r.View != nil {
		if err := rootfs.Confine(*r.View); err != nil {
			return liveAnswer{Unconfined: err.Error()}, nil
		}
	}
	answer := liveAnswer{}
	seen := func(path string) { answer.Reads = append(answer.Reads, path) }
	st, err := a.loadServices(ctx, seen, r.Source.Services)
	slices.Sort(answer.Reads)
	answer.Reads = slices.Compact(answer.Reads)
	if err == nil {
		answer.Problem = rendered(st.Warnings)
		st, err = st.WithJobs(r.Source.Services...)
	}
	var found spec.Diagnostics
	switch {
	case errors.As(err, &found):
		answer.Problem = rendered(found)
		return answer, nil
	case err != nil:
		answer.Problem = problem(err)
		return answer, nil
	}
	useRuntime(st, r.Source.Runtime)
	named := namedIn(st)
	answer.Others = slices.DeleteFunc(slices.Clone(r.Source.Others), func(name string) bool { return !named[name] })
	answer.Spec, err = spec.Encode(st)
	return answer, err
}

// prepare does what up does before it asks the controller.
func (r liveRequest) prepare(ctx context.Context, a *app) (liveAnswer, error) {
	st, err := spec.Decode(r.Spec)
	if err != nil {
		return liveAnswer{}, err
	}
	a.progress = "quiet"
	err = a.preflight(ctx, st, r.Services, scheduler.Command{Verb: scheduler.VerbUp, NoDeps: r.Source.NoDeps, Strict: r.Source.Strict})
	if err == nil {
		err = a.ensureImages(ctx, st, r.Services, r.Source.NoDeps, "policy", true, buildChoice{quiet: true})
	}
	return liveAnswer{Problem: problem(err)}, nil
}

func problem(err error) scheduler.LiveProblem {
	var found spec.Diagnostics
	switch {
	case err == nil:
		return scheduler.LiveProblem{}
	case errors.As(err, &found):
		return rendered(found)
	}
	return scheduler.LiveProblem{Text: err.Error() + "\n", Colored: err.Error() + "\n"}
}

func rendered(found spec.Diagnostics) scheduler.LiveProblem {
	var plain, colored strings.Builder
	found.Render(&plain, false)
	found.Render(&colored, true)
	return scheduler.LiveProblem{Text: plain.String(), Colored: colored.String()}
}

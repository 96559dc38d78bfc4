// Package infer tells which files a service is made of, and what a change of them
// asks for, where nobody wrote it down.
//
// It may import spec and scheduler/watch. It reads files and writes none.
//
//	build context, Dockerfile ── COPY, ADD ──┐
//	                                         ├─▶ rules, as in develop.watch
//	bind mounts ─────────────────────────────┘
//
// What a COPY brings into the image is synced when nothing ran in the image after it;
// what a RUN may have read, or another stage made something of, asks for a new build.
// A bind mount needs no sync: the service is restarted. A program that follows its
// files itself is left alone.
package infer

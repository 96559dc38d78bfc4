// Package log writes and reads container logs in the CRI log format: one line
// an entry, "2026-11-23T10:00:00.123456789Z stdout F text", where the tag F ends
// a line and P is a piece of one without its line end. (Format: Kubernetes
// design proposal "CRI logging", kubelet-cri-logging.)
//
// It imports nothing of ours and only the standard library: it is linked into
// the lean stack-shim. What a follower needs to be woken by (inotify) is behind
// the Notifier interface; package notify implements it, outside the shim's link.
//
//	container ─ read(2) ─▶ Writer.Stream ─ write(2) ─▶ DIR/ID.log, .log.1, …
//	                                                     │
//	          Merge ◀─ Reader.Next (tail, since, follow) ◀┘
//
// Files: DIR/ID.log is current, DIR/ID.log.1 the one before, and so on; a rotation
// renames, it never copies or truncates, so a follower that holds the old
// descriptor loses nothing. A text is recovered exactly: the concatenation of a
// stream's Text fields, with a newline after each entry that is not Partial.
//
// Only one Writer may have a path open; any number of Readers may.
package log

// Package cdi reads Container Device Interface specifications (CNCF tag-runtime,
// SPEC.md version 1.0): what a container needs to use a device that its vendor
// describes in files of JSON or YAML.
//
// It imports nothing of ours and does no I/O but reading those files.
//
//	/etc/cdi, /var/run/cdi ─ Load ─▶ Registry ─ Request, Devices ─▶ Edits
package cdi

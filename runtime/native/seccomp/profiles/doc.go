// Package profiles makes OCI seccomp profiles: Docker's default one, and those from
// files in Docker's JSON format.
//
// It imports nothing of ours. It stands apart from package seccomp, which compiles
// profiles, because the lean binary needs that alone.
package profiles

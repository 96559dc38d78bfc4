// Package spec reads stack files: the Compose Specification plus x-stack.
//
// It imports nothing of ours and does no I/O but reading files. Load gives a
// Stack or every Diagnostic at once, each with the place where the value was
// written. Loading is compose-go's; positions come from a yaml.v3 node index
// beside it; rules stand one a file in check_*.go.
package spec

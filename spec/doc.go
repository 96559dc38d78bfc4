// Package spec reads stack files: the Compose Specification plus x-stack.
//
// It imports nothing of ours and does no I/O but reading files. Load gives a
// Stack or every Diagnostic at once, each with the place where the value was
// written. Loading is compose-go's; positions come from a yaml.v3 node index
// beside it; rules stand one a file in check_*.go.
//
//	Options → environ.go, source.go     which files, which variables
//	        → parse.go                  yaml nodes → tree of values with places
//	        → interpolate.go            ${VARIABLES}, casts
//	        → schema.go                 each document against the JSON schema
//	        → include.go, extends.go, join.go   one merged tree
//	        → check.go, check_*.go      the rules, over the merged tree
//	        → project.go                compose-go loads, if nothing is wrong
//	        → Stack                     hash.go, select.go, encode.go, position.go
//
// The tree repeats compose-go's merging for the sake of the places alone: what a
// Stack holds is always what compose-go made. support_table.go says of every key
// whether it is honoured, has no effect (a warning) or is refused.
//
// compose-go reads HOME for "~" and logs through logrus, though only for unset
// variables inside env files and the deprecated external.name; a program that
// wants a clean stderr points logrus elsewhere.
package spec

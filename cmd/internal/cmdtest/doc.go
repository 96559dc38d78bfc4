// Package cmdtest is what the tests of the commands share: the binaries as users
// have them, and the skip of what needs root. It imports nothing of ours.
package cmdtest

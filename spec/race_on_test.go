//go:build race

package spec

// raceFactor allows for the race detector.
const raceFactor = 15

// Package flock waits for flock(2) locks and gives up when a context ends. It
// imports nothing of ours.
package flock

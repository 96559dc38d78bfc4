// Package notify wakes followers of log files: one inotify instance, however
// many files. All user namespaces of one owner share 128 instances by default, so
// a program makes one Notifier and gives it to all its readers.
//
// It imports fsnotify and nothing of ours; it satisfies log.Notifier. Kept apart
// from package log because stack-shim links that.
package notify

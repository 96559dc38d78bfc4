// Package quota bounds what a directory tree may hold, with project quotas: the
// directory carries a project id that everything made below it inherits, and the file
// system a limit for that id.
//
// It imports nothing of ours. Sources: quotactl_fd(2), FS_IOC_FSSETXATTR in
// ioctl_xfs_fsgetxattr(2), the kernel's Documentation/filesystems/quota.rst.
//
// Nothing is recorded: the id stands in the directory itself. Limit may be repeated,
// and Release, too, for as long as the directory is there.
//
// A process in a user namespace cannot change its files' project. The host's root can,
// and with CAP_SYS_RESOURCE is not bound by limits at all.
package quota

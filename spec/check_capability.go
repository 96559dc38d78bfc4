package spec

import (
	"fmt"
	"slices"
	"strings"
)

// capabilities of Linux, capability.h; ALL stands for every one.
func capabilities() []string {
	return strings.Fields(`ALL AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN
		DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE
		MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN
		SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG
		WAKE_ALARM`)
}

// checkCapabilities: cap_add and cap_drop name capabilities, CAP_ or not.
func checkCapabilities(m *model, r *report) {
	known := capabilities()
	for _, s := range m.enabled() {
		for _, item := range slices.Concat(s.v.get("cap_add").list(), s.v.get("cap_drop").list()) {
			name := strings.TrimPrefix(strings.ToUpper(item.text()), "CAP_")
			if !slices.Contains(known, name) {
				r.add(item.at, "capability", fmt.Sprintf("there is no capability %q", item.text()), DidYouMean(name, known))
			}
		}
	}
}

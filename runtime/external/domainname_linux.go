package external

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// setDomainname does what the runtime specification has since 1.1 and runc since 1.2,
// from outside.
func (c *creating) setDomainname() error {
	if c.Spec.Domainname == "" {
		return nil
	}
	err := c.runtime.Host.ThrowAway(func() error {
		if err := unix.Setns(int(c.pidfd.Fd()), unix.CLONE_NEWUTS); err != nil {
			return err
		}
		return unix.Setdomainname([]byte(c.Spec.Domainname))
	})
	if err != nil {
		return fmt.Errorf("cannot set the domain name: %w", err)
	}
	return nil
}

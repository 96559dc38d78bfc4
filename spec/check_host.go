package spec

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// maxHostname is __NEW_UTS_LEN of linux/utsname.h, of either name.
const maxHostname = 64

// checkHosts: host names, resolvers and extra hosts are well-formed.
func checkHosts(m *model, r *report) {
	hostname := regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9_-]{0,62}(\.[a-zA-Z0-9_-]+)*)$`)
	for _, s := range m.enabled() {
		for _, key := range []string{"hostname", "domainname"} {
			if v := s.v.get(key); v.text() != "" && !hostname.MatchString(v.text()) {
				r.addf(v.at, "host", "%q is no host name", v.text())
			} else if len(v.text()) > maxHostname {
				r.addf(v.at, "host", "%s cannot have more than %d characters", key, maxHostname)
			}
		}
		for _, item := range s.v.get("dns").list() {
			if item.text() != "" && !isAddress(item.text()) {
				r.addf(item.at, "host", "%q is no IP address", item.text())
			}
		}
		checkExtraHosts(r, s.v.get("extra_hosts"))
	}
}

func checkExtraHosts(r *report, v *value) {
	v.each(func(name string, member *value) {
		for _, ip := range member.list() {
			checkExtraHost(r, ip, name, ip.text())
		}
	})
	if v == nil || v.kind != sequence {
		return
	}
	for _, item := range v.items {
		hosts, err := types.NewHostsList([]string{item.text()})
		if err != nil {
			r.add(item.at, "host", fmt.Sprintf("%q is no extra host", item.text()), "write NAME=ADDRESS")
			continue
		}
		for name, ips := range hosts {
			for _, ip := range ips {
				checkExtraHost(r, item, name, ip)
			}
		}
	}
}

func checkExtraHost(r *report, at *value, name, ip string) {
	if ip != "host-gateway" && !isAddress(strings.TrimSpace(ip)) {
		r.add(at.at, "host", fmt.Sprintf("extra host %q: %q is no IP address", name, ip), "host-gateway stands for the host")
	}
}

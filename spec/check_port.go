package spec

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// port is one published or exposed range, as written.
type port struct {
	hostIP      string
	first, last int // on the host; 0 when the port is not published or chosen
	proto       string
	at          place
}

// checkPorts: ports can be parsed and are in range, tcp or udp.
func checkPorts(m *model, r *report) {
	for _, s := range m.enabled() {
		for _, item := range s.v.get("ports").list() {
			if problem, at := portProblem(item); problem != "" {
				hint := ""
				if item.kind == scalar {
					hint = "write [[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]"
				}
				r.add(at, "port", problem, hint)
			}
		}
		for _, item := range s.v.get("expose").list() {
			number, _, _ := strings.Cut(item.text(), "/")
			if _, _, ok := portRange(number); !ok {
				r.addf(item.at, "port", "%q is no port", item.text())
			}
		}
	}
}

// portProblem is "" for a good entry.
func portProblem(item *value) (string, place) {
	if item.kind != mapping {
		return shortPortProblem(item.text()), item.at
	}
	target := item.get("target")
	if target == nil {
		return "a port needs a target", item.at
	}
	if n, err := strconv.Atoi(target.text()); err != nil || n < 1 || n > 65535 {
		return fmt.Sprintf("%q is no port", target.text()), target.at
	}
	if published := item.get("published"); published.text() != "" {
		if _, _, ok := portRange(published.text()); !ok {
			return fmt.Sprintf("%q is no port", published.text()), published.at
		}
	}
	if ip := item.get("host_ip"); ip.text() != "" && !isAddress(ip.text()) {
		return fmt.Sprintf("%q is no IP address", ip.text()), ip.at
	}
	if proto := item.get("protocol"); proto != nil && !isProtocol(proto.text()) {
		return fmt.Sprintf("protocol %q is not supported: tcp and udp are", proto.text()), proto.at
	}
	return "", place{}
}

func shortPortProblem(text string) string {
	parsed, err := types.ParsePortConfig(text)
	if err != nil {
		return fmt.Sprintf("%q is no port: %s", text, strings.ToLower(err.Error()))
	}
	for _, p := range parsed {
		if !isProtocol(p.Protocol) {
			return fmt.Sprintf("protocol %q is not supported: tcp and udp are", p.Protocol)
		}
		if _, _, ok := portRange(p.Published); p.Target < 1 || p.Target > 65535 || p.Published != "" && !ok {
			return fmt.Sprintf("%q is no port", text)
		}
	}
	return ""
}

func isProtocol(s string) bool { return s == "tcp" || s == "udp" }

func isAddress(s string) bool {
	_, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return err == nil
}

// portRange reads "80" or "8000-8010".
func portRange(s string) (first, last int, ok bool) {
	a, b, ranged := strings.Cut(s, "-")
	if !ranged {
		b = a
	}
	first, err1 := strconv.Atoi(a)
	last, err2 := strconv.Atoi(b)
	return first, last, err1 == nil && err2 == nil && 1 <= first && first <= last && last <= 65535
}

// published are the fixed host ports of an entry.
func published(item *value) []port {
	if item.kind == mapping {
		first, last, ok := portRange(item.get("published").text())
		if !ok {
			return nil
		}
		proto := item.get("protocol").text()
		if proto == "" {
			proto = "tcp"
		}
		return []port{{item.get("host_ip").text(), first, last, proto, item.at}}
	}
	parsed, _ := types.ParsePortConfig(item.text())
	var out []port
	for _, p := range parsed {
		if first, last, ok := portRange(p.Published); ok {
			out = append(out, port{p.HostIP, first, last, p.Protocol, item.at})
		}
	}
	return out
}

package netns

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A ruleset is one project's nftables table. Rules never change; networks and
// ports stand in its sets. The text of a rule is nft's own syntax, clause by
// clause; nft_linux.go compiles exactly the clauses used here.
//
// Other tables see the same packets: an accept here does not override their
// drop, and a drop here is final.
type ruleset struct {
	Table  string
	Sets   []set
	Chains []chain
}

// set is a set, or a map when Data is given.
type set struct {
	Name      string
	Key, Data []field
	Elements  []element
}

// field is an nft data type.
type field string

const (
	fieldLink  field = "ifname"
	fieldProto field = "inet_proto"
	fieldIPv4  field = "ipv4_addr"
	fieldIPv6  field = "ipv6_addr"
	fieldPort  field = "inet_service"
	// fieldSlot is an interval of slots, the last part of a balanced map's key.
	fieldSlot field = "slot"
	// fieldIndex is a number that is drawn, too, but one by one.
	fieldIndex field = "index"
	// fieldVerdict is where a map leads: "goto CHAIN".
	fieldVerdict field = "verdict"
)

// element is a set's member in text, one string a field.
type element struct{ Key, Data []string }

type chain struct {
	Name string
	// Kind, Hook and Priority are empty for a chain that is only jumped to.
	Kind, Hook string
	Priority   int
	Rules      []rule
}

// rule is its clauses, the last one being the verdict.
type rule []string

// foreign lists the links between which forwarding stays as it was before stack
// enabled it on the machine, that is: off. Empty where it was on already.
type foreign struct{ IPv4, IPv6 []string }

// target is where a published port leads.
type target struct{ IPv4, IPv6 netip.Addr }

// firewall computes the table of one project: the networks it uses (its own and
// external ones) and its ports, whose containers' addresses targets gives. A
// port whose container has no address yet is left out.
func firewall(project string, networks []Network, ports []Port, targets map[string]target, f foreign) ruleset {
	return ruleset{
		Table:  tableName(project),
		Sets:   append(linkSets(networks, f), portSets(ports, targets)...),
		Chains: chains(),
	}
}

func chains() []chain {
	toPublished := []rule{{"fib daddr type local", "jump publish"}}
	return []chain{
		// route_localnet on a bridge, which publishing on 127.0.0.1 needs, would
		// let a container's raw frame reach what listens there. This stands
		// before conntrack, so replies to loopback clients (whose destination
		// is still the bridge's address) pass.
		{Name: "raw", Kind: "filter", Hook: "prerouting", Priority: -300, Rules: []rule{
			{"iifname @bridges", "ip daddr 127.0.0.0/8", "drop"},
			{"iifname @bridges", "ip saddr 127.0.0.0/8", "drop"},
		}},
		{Name: "prerouting", Kind: "nat", Hook: "prerouting", Priority: -100, Rules: toPublished},
		{Name: "output", Kind: "nat", Hook: "output", Priority: -100, Rules: toPublished},
		{Name: "publish", Rules: publishRules()},
		{Name: "postrouting", Kind: "nat", Hook: "postrouting", Priority: 100, Rules: []rule{
			// A container that reaches its neighbour through a published port:
			// without a new source the answer would take the short way back.
			{"iifname . oifname @own", "ct status dnat", "masquerade"},
			// The same where bridged packets are filtered: they have lost their
			// input link here. Packets of the host's own never had one.
			{"iif 0", "oifname @bridges", "ct status dnat", "masquerade"},
			{"iifname . oifname @own", "accept"},
			{"iifname @outward", "masquerade"},
			{"ip saddr 127.0.0.0/8", "oifname @bridges", "masquerade"},
		}},
		{Name: "input", Kind: "filter", Hook: "input", Rules: []rule{
			{"iifname @internal", "ct state established,related", "accept"},
			{"iifname @internal", "drop"},
		}},
		{Name: "forward", Kind: "filter", Hook: "forward", Rules: []rule{
			{"iifname . oifname @same", "accept"},
			{"iifname @internal", "drop"},
			{"oifname @internal", "drop"},
			{"oifname @bridges", "jump inward"},
			{"meta nfproto ipv4", "iifname @foreign4", "oifname @foreign4", "drop"},
			{"meta nfproto ipv6", "iifname @foreign6", "oifname @foreign6", "drop"},
		}},
		// A neighbour with a route to the subnet must not reach what is not
		// published, nor one network another.
		{Name: "inward", Rules: []rule{
			{"ct state established,related", "accept"},
			{"ct status dnat", "accept"},
			{"drop"},
		}},
	}
}

// publishRules lead to the backends of published ports: nft wants the protocol
// known before it lets a rule change ports.
func publishRules() (out []rule) {
	const slot = " . numgen random mod 65536 map @"
	for _, protocol := range []string{"meta l4proto tcp", "meta l4proto udp"} {
		// What goes to ::1 cannot leave by another link: the proxy has it.
		out = append(out,
			rule{"meta nfproto ipv4", protocol, "dnat ip to meta l4proto . ip daddr . th dport" + slot + "publish4"},
			rule{"meta nfproto ipv4", protocol, "dnat ip to meta l4proto . th dport" + slot + "publish4any"},
			rule{"meta nfproto ipv6", "ip6 daddr != ::1", protocol, "dnat ip6 to meta l4proto . ip6 daddr . th dport" + slot + "publish6"},
			rule{"meta nfproto ipv6", "ip6 daddr != ::1", protocol, "dnat ip6 to meta l4proto . th dport" + slot + "publish6any"})
	}
	return out
}

func linkSets(networks []Network, f foreign) []set {
	var all, internal, outward, own, same []element
	for _, n := range networks {
		one := link(n.Bridge)
		pair := element{Key: []string{n.Bridge, n.Bridge}}
		all, own = append(all, one), append(own, pair)
		if !n.Isolated {
			same = append(same, pair)
		}
		if n.Internal {
			internal = append(internal, one)
		} else if n.Masquerade {
			outward = append(outward, one)
		}
	}
	links, pairs := []field{fieldLink}, []field{fieldLink, fieldLink}
	return []set{
		{Name: "bridges", Key: links, Elements: all},
		{Name: "internal", Key: links, Elements: internal},
		{Name: "outward", Key: links, Elements: outward},
		{Name: "own", Key: pairs, Elements: own},
		{Name: "same", Key: pairs, Elements: same},
		{Name: "foreign4", Key: links, Elements: linkElements(f.IPv4)},
		{Name: "foreign6", Key: links, Elements: linkElements(f.IPv6)},
	}
}

func link(name string) element { return element{Key: []string{name}} }

func linkElements(names []string) []element {
	var out []element
	for _, n := range names {
		out = append(out, link(n))
	}
	return out
}

func portSets(ports []Port, targets map[string]target) []set {
	var v4, v4any, v6, v6any []element
	for _, p := range ports {
		if p.Resting {
			continue
		}
		t, host := targets[p.Container], p.HostIP.Unmap()
		everywhere := !host.IsValid() || host.IsUnspecified()
		key := []string{p.Protocol}
		if !everywhere {
			key = append(key, host.String())
		}
		key = append(key, fmt.Sprint(p.HostPort))
		add := func(specific, wildcard *[]element, to netip.Addr) {
			e := element{Key: key, Data: []string{to.String(), fmt.Sprint(p.Target)}}
			if everywhere {
				specific = wildcard
			}
			*specific = append(*specific, e)
		}
		if t.IPv4.IsValid() && !host.Is6() {
			add(&v4, &v4any, t.IPv4)
		}
		if t.IPv6.IsValid() && !host.Is4() {
			add(&v6, &v6any, t.IPv6)
		}
	}
	to4, to6 := []field{fieldIPv4, fieldPort}, []field{fieldIPv6, fieldPort}
	return []set{
		{Name: "publish4", Key: []field{fieldProto, fieldIPv4, fieldPort, fieldSlot}, Data: to4, Elements: balance(v4)},
		{Name: "publish4any", Key: []field{fieldProto, fieldPort, fieldSlot}, Data: to4, Elements: balance(v4any)},
		{Name: "publish6", Key: []field{fieldProto, fieldIPv6, fieldPort, fieldSlot}, Data: to6, Elements: balance(v6)},
		{Name: "publish6any", Key: []field{fieldProto, fieldPort, fieldSlot}, Data: to6, Elements: balance(v6any)},
	}
}

// change is what turns one table into another of the same rules: members of sets,
// and the chains that maps led to and lead to.
type change struct {
	sets       []setChange
	begin, end []string
}

type setChange struct {
	set
	remove, add []element
}

func (c change) empty() bool { return len(c.sets) == 0 }

func changeOf(have map[string][]element, want []set) (c change) {
	var had []set
	for _, s := range want {
		remove, add := difference(have[s.Name], s.Elements)
		if len(remove)+len(add) > 0 {
			c.sets = append(c.sets, setChange{s, remove, add})
		}
		had = append(had, set{Elements: have[s.Name]})
	}
	before, after := spreadChains(had), spreadChains(want)
	c.begin, c.end = missing(after, before), missing(before, after)
	return c
}

// missing names the chains of all that are not among those.
func missing(all, those []chain) (names []string) {
	for _, c := range all {
		if !slices.ContainsFunc(those, func(o chain) bool { return o.Name == c.Name }) {
			names = append(names, c.Name)
		}
	}
	return names
}

// difference tells which elements to remove from have, and which to add, so that
// it becomes want.
func difference(have, want []element) (remove, add []element) {
	text := func(e element) string { return e.String() }
	known := make(map[string]bool)
	for _, e := range have {
		known[text(e)] = true
	}
	wanted := make(map[string]bool)
	for _, e := range want {
		if !known[text(e)] && !wanted[text(e)] {
			add = append(add, e)
		}
		wanted[text(e)] = true
	}
	for _, e := range have {
		if !wanted[text(e)] {
			remove = append(remove, e)
		}
	}
	return remove, add
}

func (e element) String() string {
	s := quoted(e.Key)
	if len(e.Data) > 0 {
		s += " : " + quoted(e.Data)
	}
	return s
}

// quoted joins fields as nft does; link names need quotes.
func quoted(fields []string) string {
	out := make([]string, len(fields))
	for i, f := range fields {
		_, err := netip.ParseAddr(f)
		if err == nil || f == "tcp" || f == "udp" || strings.HasPrefix(f, "goto ") || strings.Trim(f, "0123456789-") == "" {
			out[i] = f
		} else {
			out[i] = `"` + f + `"`
		}
	}
	return strings.Join(out, " . ")
}

// String is a script that `nft -f` accepts and that replaces the table.
func (r ruleset) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s\ndelete table inet %s\ntable inet %s {\n", r.Table, r.Table, r.Table)
	for _, s := range r.Sets {
		b.WriteString(s.String())
	}
	// A chain must be declared before a jump to it.
	ordered := slices.Clone(r.Chains)
	slices.SortStableFunc(ordered, func(x, y chain) int { return cmp.Compare(len(x.Hook), len(y.Hook)) })
	for _, c := range ordered {
		b.WriteString(c.String())
	}
	b.WriteString("}\n")
	return b.String()
}

func (s set) String() string {
	kind, types := "set", "type "+joinFields(s.Key)
	if len(s.Data) > 0 {
		kind, types = "map", types+" : "+joinFields(s.Data)
	}
	if s.balanced() || s.numbered() {
		types = "typeof " + typeofFields(s.Key) + " : " + typeofFields(s.Data)
	}
	if s.balanced() {
		types += "\n\t\tflags interval"
	}
	text := fmt.Sprintf("\t%s %s {\n\t\t%s\n", kind, s.Name, types)
	if len(s.Elements) > 0 {
		lines := make([]string, len(s.Elements))
		for i, e := range s.Elements {
			lines[i] = e.String()
		}
		slices.Sort(lines)
		text += "\t\telements = { " + strings.Join(slices.Compact(lines), ",\n\t\t\t     ") + " }\n"
	}
	return text + "\t}\n"
}

// balanced says that the key ends with a slot.
func (s set) balanced() bool { return s.Key[len(s.Key)-1] == fieldSlot }

// numbered says that the key ends with an index.
func (s set) numbered() bool { return s.Key[len(s.Key)-1] == fieldIndex }

// typeofFields is joinFields in the words that nft needs where a part of the key
// has no type with a name.
func typeofFields(fields []field) string {
	words := map[field]string{
		fieldProto: "meta l4proto", fieldIPv4: "ip daddr", fieldIPv6: "ip6 daddr",
		fieldPort: "th dport", fieldSlot: "numgen random mod 65536", fieldIndex: "numgen random mod 65536",
	}
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = words[f]
	}
	return strings.Join(out, " . ")
}

func joinFields(fields []field) string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = string(f)
	}
	return strings.Join(out, " . ")
}

func (c chain) String() string {
	text := "\tchain " + c.Name + " {\n"
	if c.Hook != "" {
		text += fmt.Sprintf("\t\ttype %s hook %s priority %d; policy accept;\n", c.Kind, c.Hook, c.Priority)
	}
	for _, r := range c.Rules {
		text += "\t\t" + strings.Join(r, " ") + "\n"
	}
	return text + "\t}\n"
}

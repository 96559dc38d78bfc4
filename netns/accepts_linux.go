package netns

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// A drop in anybody's table is final, so where Docker or an administrator drops
// forwarded packets by default, the project's bridges need accepts there. They
// stand at the chain's end, before its default takes effect: whatever the owner
// drops explicitly stays dropped. On input only answers are accepted, which
// host processes need to talk with containers; whether containers may use the
// host's services stays the owner's decision.

// accept is a rule of ours in a chain of somebody else's.
type accept struct {
	key    string // tells accepts of one chain apart
	exprs  []expr.Any
	before uint64 // handle of the rule it must stand before; 0 is the end
}

// ensureAccepts adds what is missing and removes what is not needed any more,
// in one transaction; none when all is well.
func (h *Host) ensureAccepts() error {
	bridges, ipv6, _ := h.acceptsWanted()
	return h.setAccepts(bridges, ipv6)
}

// acceptsWanted names the bridges whose traffic is to be accepted; not ok before the
// first Apply.
func (h *Host) acceptsWanted() (bridges []string, ipv6, ok bool) {
	h.mu.Lock()
	a := h.applied
	h.mu.Unlock()
	if a == nil {
		return nil, false, false
	}
	for _, n := range a.networks {
		bridges = append(bridges, n.Bridge)
		ipv6 = ipv6 || n.IPv6
	}
	return bridges, ipv6, true
}

func (h *Host) setAccepts(bridges []string, ipv6 bool) error {
	h.firewall.Lock()
	defer h.firewall.Unlock()
	now, err := h.generation()
	if err != nil {
		return err
	}
	wish := fmt.Sprint(bridges, ipv6)
	if h.table.accepted == wish && h.table.acceptedAt == now {
		return nil
	}
	changes, err := h.acceptChanges(bridges, ipv6)
	if err != nil {
		return err
	}
	h.table.accepted, h.table.acceptedAt = wish, now
	if len(changes) == 0 {
		return nil
	}
	for _, change := range changes {
		change(h.table.conn)
	}
	h.table.accepted, h.table.elements = "", nil // read again, once
	if err := h.table.conn.Flush(); err != nil {
		return fmt.Errorf("cannot accept the project's traffic in the tables of others: %w", err)
	}
	return nil
}

// brokenAccepts looks whether accepts are missing that were needed before.
func (h *Host) brokenAccepts() ([]Fault, error) {
	bridges, ipv6, ok := h.acceptsWanted()
	if !ok {
		return nil, nil
	}
	h.firewall.Lock()
	defer h.firewall.Unlock()
	now, err := h.generation()
	if err != nil || h.table.accepted == fmt.Sprint(bridges, ipv6) && h.table.acceptedAt == now {
		return nil, err
	}
	changes, err := h.acceptChanges(bridges, ipv6)
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		h.table.accepted, h.table.acceptedAt = fmt.Sprint(bridges, ipv6), now
		return nil, nil
	}
	return []Fault{{Text: "accepts of the project's traffic in the tables of others are missing or were altered"}}, nil
}

// acceptChange is one change in a table of somebody else's.
type acceptChange func(*nftables.Conn)

// acceptChanges is what there is to change so that no table of others drops what the
// bridges forward. Host.firewall is held.
func (h *Host) acceptChanges(bridges []string, ipv6 bool) (out []acceptChange, err error) {
	conn := h.table.conn
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("cannot list chains: %w", err)
	}
	for _, c := range chains {
		if !mayHoldAccepts(c) {
			continue
		}
		rules, err := conn.GetRules(c.Table, c)
		if err != nil {
			return nil, fmt.Errorf("cannot read chain %s of table %s: %w", c.Name, c.Table.Name, err)
		}
		var want []accept
		if place, ok := placeFor(c, rules, chains); ok && (ipv6 || c.Table.Family != nftables.TableFamilyIPv6) {
			want = acceptsFor(c, bridges, comment(h.o.Project), place)
		}
		out = append(out, alterChain(c, rules, want, comment(h.o.Project))...)
	}
	return out, nil
}

// alterChain is what there is to change in one chain, where our rules bear mark.
func alterChain(c *nftables.Chain, rules []*nftables.Rule, want []accept, mark string) (out []acceptChange) {
	have := make(map[string]bool)
	for _, r := range rules {
		if commentOf(r) != mark {
			continue
		}
		key := keyOf(r)
		wanted := slices.ContainsFunc(want, func(a accept) bool { return a.key == key && inPlace(rules, r, a) })
		if !wanted || have[key] {
			out = append(out, func(conn *nftables.Conn) { _ = conn.DelRule(r) })
			continue
		}
		have[key] = true
	}
	for _, a := range want {
		if have[a.key] {
			continue
		}
		r := &nftables.Rule{Table: c.Table, Chain: c, Exprs: a.exprs}
		if !iptables(c) {
			r.UserData = userdata.AppendString(nil, userdata.TypeComment, mark)
		}
		if a.before != 0 {
			r.Position = a.before
			out = append(out, func(conn *nftables.Conn) { conn.InsertRule(r) })
		} else {
			out = append(out, func(conn *nftables.Conn) { conn.AddRule(r) })
		}
	}
	return out
}

// inPlace says whether a rule stands before the one it has to.
func inPlace(rules []*nftables.Rule, r *nftables.Rule, a accept) bool {
	if a.before == 0 {
		return true
	}
	at := func(handle uint64) int {
		return slices.IndexFunc(rules, func(x *nftables.Rule) bool { return x.Handle == handle })
	}
	return at(r.Handle) < at(a.before)
}

// mayHoldAccepts selects DOCKER-USER and the base chains of other people that
// filter what is forwarded or comes in.
func mayHoldAccepts(c *nftables.Chain) bool {
	if strings.HasPrefix(c.Table.Name, "stack-") {
		return false
	}
	switch c.Table.Family {
	case nftables.TableFamilyIPv4, nftables.TableFamilyIPv6, nftables.TableFamilyINet:
	default:
		return false
	}
	if c.Name == dockerUser {
		return true
	}
	return c.Hooknum != nil && c.Type == nftables.ChainTypeFilter &&
		(*c.Hooknum == *nftables.ChainHookForward || *c.Hooknum == *nftables.ChainHookInput)
}

const dockerUser = "DOCKER-USER"

// placeFor says whether a chain needs accepts and before which rule (0: at the
// end). Where Docker left a chain for its users, that is the place, not the
// base chain that jumps there.
func placeFor(c *nftables.Chain, rules []*nftables.Rule, all []*nftables.Chain) (before uint64, ok bool) {
	last, verdict := lastVerdict(rules)
	if c.Name == dockerUser {
		return last, drops(forwardOf(c.Table, all), nil) || verdict == expr.VerdictDrop
	}
	isForward := *c.Hooknum == *nftables.ChainHookForward
	if !drops(c, rules) || isForward && hasDockerUser(c.Table, all) {
		return 0, false
	}
	if verdict == expr.VerdictDrop {
		return last, true
	}
	return 0, true
}

func hasDockerUser(t *nftables.Table, all []*nftables.Chain) bool {
	return slices.ContainsFunc(all, func(c *nftables.Chain) bool {
		return c.Name == dockerUser && c.Table.Name == t.Name && c.Table.Family == t.Family
	})
}

func forwardOf(t *nftables.Table, all []*nftables.Chain) *nftables.Chain {
	for _, c := range all {
		if c.Table.Name == t.Name && c.Table.Family == t.Family && c.Hooknum != nil && *c.Hooknum == *nftables.ChainHookForward {
			return c
		}
	}
	return nil
}

// drops says whether a chain drops what no rule speaks of, by policy or by a
// last rule without a condition.
func drops(c *nftables.Chain, rules []*nftables.Rule) bool {
	if c == nil {
		return false
	}
	if c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
		return true
	}
	_, verdict := lastVerdict(rules)
	return verdict == expr.VerdictDrop
}

// lastVerdict looks for a last rule that applies to every packet; a rejection
// counts as a drop. The handle is 0 when there is none.
func lastVerdict(rules []*nftables.Rule) (handle uint64, kind expr.VerdictKind) {
	for i := len(rules) - 1; i >= 0; i-- {
		r := rules[i]
		if strings.HasPrefix(commentOf(r), "stack ") {
			continue
		}
		for _, e := range r.Exprs {
			switch e := e.(type) {
			case *expr.Counter, *expr.Log:
			case *expr.Verdict:
				return r.Handle, e.Kind
			case *expr.Reject:
				return r.Handle, expr.VerdictDrop
			case *expr.Target:
				if e.Name == "REJECT" {
					return r.Handle, expr.VerdictDrop
				}
				return 0, expr.VerdictContinue
			default:
				return 0, expr.VerdictContinue
			}
		}
		return 0, expr.VerdictContinue
	}
	return 0, expr.VerdictContinue
}

// iptables says whether a chain belongs to iptables-nft, which can show only
// expressions that it would have written itself.
func iptables(c *nftables.Chain) bool {
	family := c.Table.Family == nftables.TableFamilyIPv4 || c.Table.Family == nftables.TableFamilyIPv6
	return family && c.Table.Name == "filter" && c.Name == strings.ToUpper(c.Name)
}

// acceptsFor are the rules that a chain needs.
func acceptsFor(c *nftables.Chain, bridges []string, mark string, before uint64) (out []accept) {
	const in, oif = expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME
	input := c.Hooknum != nil && *c.Hooknum == *nftables.ChainHookInput
	for _, b := range bridges {
		if input {
			out = append(out, accept{"answers " + b, acceptExprs(c, in, b, mark, true), before})
			continue
		}
		out = append(out,
			accept{"from " + b, acceptExprs(c, in, b, mark, false), before},
			accept{"to " + b, acceptExprs(c, oif, b, mark, false), before})
	}
	return out
}

func acceptExprs(c *nftables.Chain, key expr.MetaKey, bridge, mark string, answers bool) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, bridge)
	if iptables(c) {
		name = name[:len(bridge)+1]
	}
	out := []expr.Any{&expr.Meta{Key: key, Register: reg1}, equal(name)}
	if answers {
		out = append(out, answerExprs(c)...)
	}
	if iptables(c) {
		text := xt.Comment(mark)
		out = append(out, &expr.Match{Name: "comment", Info: &text})
	}
	return append(out, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept})
}

func answerExprs(c *nftables.Chain) []expr.Any {
	if !iptables(c) {
		return ctBits(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
	}
	info := xt.ConntrackMtinfo3{}
	info.MatchFlags = 1          // XT_CONNTRACK_STATE
	info.StateMask = 1<<1 | 1<<2 // XT_CONNTRACK_STATE_BIT of established, related
	return []expr.Any{&expr.Match{Name: "conntrack", Rev: 3, Info: &info}}
}

// commentOf is a rule's comment, nft's or iptables'.
func commentOf(r *nftables.Rule) string {
	if s, ok := userdata.GetString(r.UserData, userdata.TypeComment); ok {
		return s
	}
	for _, e := range r.Exprs {
		if m, ok := e.(*expr.Match); ok && m.Name == "comment" {
			if c, ok := m.Info.(*xt.Comment); ok {
				return string(*c)
			}
		}
	}
	return ""
}

// keyOf reads back the key of an accept that was added earlier; a rule that
// somebody changed has none.
func keyOf(r *nftables.Rule) string {
	if len(r.Exprs) == 0 {
		return ""
	}
	meta, ok := r.Exprs[0].(*expr.Meta)
	if !ok || len(r.Exprs) < 2 {
		return ""
	}
	name, ok := r.Exprs[1].(*expr.Cmp)
	verdict, ok2 := r.Exprs[len(r.Exprs)-1].(*expr.Verdict)
	if !ok || !ok2 || verdict.Kind != expr.VerdictAccept || name.Op != expr.CmpOpEq {
		return ""
	}
	bridge := unix.ByteSliceToString(name.Data)
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Ct:
			return "answers " + bridge
		case *expr.Match:
			if e.Name == "conntrack" {
				return "answers " + bridge
			}
		}
	}
	if meta.Key == expr.MetaKeyIIFNAME {
		return "from " + bridge
	}
	return "to " + bridge
}

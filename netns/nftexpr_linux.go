package netns

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Register numbers: four of 16 bytes, which share their space with sixteen of 4.
const (
	reg1   = unix.NFT_REG_1
	reg2   = unix.NFT_REG_2
	reg32a = unix.NFT_REG32_01 // the second 4 bytes of reg1
)

// compile turns a rule's text into the expressions that nft itself would send.
// It knows the clauses that firewall.go writes and no others.
func compile(r rule) ([]expr.Any, error) {
	var out []expr.Any
	for _, clause := range r {
		e, err := compileClause(clause)
		if err != nil {
			return nil, fmt.Errorf("cannot compile rule %q: %w", strings.Join(r, " "), err)
		}
		out = append(out, e...)
	}
	return out, nil
}

func compileClause(clause string) ([]expr.Any, error) {
	w := strings.Fields(clause)
	last := w[len(w)-1]
	switch {
	case clause == "accept":
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}, nil
	case clause == "drop":
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}, nil
	case clause == "masquerade":
		return []expr.Any{&expr.Masq{}}, nil
	case w[0] == "jump":
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: last}}, nil
	case w[0] == "dnat" && len(w) == 4:
		return compileDNATTo(last)
	case w[0] == "dnat":
		return compileDNAT(clause)
	case clause == "udp dport 53", clause == "tcp dport 53":
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg1}, equal([]byte{protocolNumber(w[0])}),
			&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			equal(binaryutil.BigEndian.PutUint16(53)),
		}, nil
	case clause == "reject with tcp reset":
		return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}, nil
	case clause == "reject with icmpx port-unreachable":
		return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH}}, nil
	case clause == "iif 0":
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIF, Register: reg1}, equal(make([]byte, 4))}, nil
	case strings.HasPrefix(clause, "iifname . oifname @"):
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1},
			&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg2},
			&expr.Lookup{SourceRegister: reg1, SetName: last[1:]},
		}, nil
	case strings.HasPrefix(clause, "iifname @"):
		return inSet(expr.MetaKeyIIFNAME, last[1:]), nil
	case strings.HasPrefix(clause, "oifname @"):
		return inSet(expr.MetaKeyOIFNAME, last[1:]), nil
	case clause == "meta nfproto ipv4":
		return nfproto(unix.NFPROTO_IPV4), nil
	case clause == "meta nfproto ipv6":
		return nfproto(unix.NFPROTO_IPV6), nil
	case strings.HasPrefix(clause, "meta l4proto "):
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg1}, equal([]byte{protocolNumber(last)})}, nil
	case strings.HasPrefix(clause, "ip daddr vmap @"):
		return verdictMap(16, 4, last[1:]), nil
	case strings.HasPrefix(clause, "ip6 daddr vmap @"):
		return verdictMap(24, 16, last[1:]), nil
	case strings.HasPrefix(clause, "ip saddr "):
		return prefix(unix.NFPROTO_IPV4, 12, last)
	case strings.HasPrefix(clause, "ip daddr "):
		return prefix(unix.NFPROTO_IPV4, 16, last)
	case strings.HasPrefix(clause, "ip6 saddr "):
		return prefix(unix.NFPROTO_IPV6, 8, last)
	case clause == "ip6 daddr != ::1":
		return []expr.Any{
			&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseNetworkHeader, Offset: 24, Len: 16},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: netip.IPv6Loopback().AsSlice()},
		}, nil
	case strings.HasPrefix(clause, "ip6 daddr "):
		return prefix(unix.NFPROTO_IPV6, 24, last)
	case clause == "ct state established,related":
		return ctBits(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), nil
	case clause == "ct status dnat":
		const dstNAT = 1 << 5 // IPS_DST_NAT
		return ctBits(expr.CtKeySTATUS, dstNAT), nil
	case clause == "fib daddr type local":
		return []expr.Any{
			&expr.Fib{Register: reg1, FlagDADDR: true, ResultADDRTYPE: true},
			equal(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)),
		}, nil
	}
	return nil, fmt.Errorf("unknown clause %q", clause)
}

func equal(data []byte) *expr.Cmp {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg1, Data: data}
}

func inSet(key expr.MetaKey, name string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: reg1},
		&expr.Lookup{SourceRegister: reg1, SetName: name},
	}
}

func nfproto(family byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg1}, equal([]byte{family})}
}

// prefix compares the leading bytes of an address; lengths are whole bytes.
func prefix(protocol byte, offset uint32, text string) ([]expr.Any, error) {
	if !strings.Contains(text, "/") {
		text += map[byte]string{unix.NFPROTO_IPV4: "/32", unix.NFPROTO_IPV6: "/128"}[protocol]
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4() != (protocol == unix.NFPROTO_IPV4) || p.Bits()%8 != 0 || p.Bits() == 0 {
		return nil, fmt.Errorf("bad prefix %q", text)
	}
	n := p.Bits() / 8
	return append(nfproto(protocol),
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(n)},
		equal(p.Addr().AsSlice()[:n])), nil
}

func ctBits(key expr.CtKey, mask uint32) []expr.Any {
	zero := make([]byte, 4)
	return []expr.Any{
		&expr.Ct{Register: reg1, Key: key},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(mask), Xor: zero},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg1, Data: zero},
	}
}

// compileDNAT handles "dnat FAMILY to KEY map @NAME": the key's parts fill
// registers of 4 bytes one after the other, and so does the map's answer.
func compileDNAT(clause string) ([]expr.Any, error) {
	to, rest, ok := strings.Cut(strings.TrimPrefix(clause, "dnat "), " to ")
	key, name, ok2 := strings.Cut(rest, " map @")
	if !ok || !ok2 {
		return nil, fmt.Errorf("unknown clause %q", clause)
	}
	family, port := uint32(unix.NFPROTO_IPV4), uint32(reg32a)
	if to == "ip6" {
		family, port = unix.NFPROTO_IPV6, reg2
	}
	if !strings.Contains(key, "th dport") {
		port = 0 // stays what it is
	}
	var out []expr.Any
	reg, words := uint32(reg1), uint32(0)
	for _, part := range strings.Split(key, " . ") {
		width := uint32(1)
		load := &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader}
		switch part {
		case "meta l4proto":
			out = append(out, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg})
			load = nil
		case "ip daddr":
			load.Offset, load.Len = 16, 4
		case "ip6 daddr":
			load.Offset, load.Len, width = 24, 16, 4
		case "th dport":
			load.Base, load.Offset, load.Len = expr.PayloadBaseTransportHeader, 2, 2
		default:
			draw, err := compileNumgen(part, reg)
			if err != nil {
				return nil, err
			}
			out, load = append(out, draw...), nil
		}
		if load != nil {
			out = append(out, load)
		}
		words += width
		reg = register(words)
	}
	return append(out,
		&expr.Lookup{SourceRegister: reg1, DestRegister: reg1, IsDestRegSet: true, SetName: name},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: reg1, RegProtoMin: port}), nil
}

// compileNumgen handles "numgen random mod N": a slot is compared as the part of
// an interval, any other number as it is.
func compileNumgen(part string, reg uint32) ([]expr.Any, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(part, "numgen random mod "), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("unknown key %q", part)
	}
	out := []expr.Any{&expr.Numgen{Register: reg, Modulus: uint32(n), Type: unix.NFT_NG_RANDOM}}
	if n == slots {
		out = append(out, &expr.Byteorder{SourceRegister: reg, DestRegister: reg, Op: expr.ByteorderHton, Len: 4, Size: 4})
	}
	return out, nil
}

// verdictMap looks an address up: "ip daddr vmap @NAME".
func verdictMap(offset, length uint32, name string) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Lookup{SourceRegister: reg1, DestRegister: unix.NFT_REG_VERDICT, IsDestRegSet: true, SetName: name},
	}
}

// register is the one that begins after so many words of 4 bytes, by the name that
// the kernel gives it.
func register(words uint32) uint32 {
	if words%4 == 0 {
		return reg1 + words/4
	}
	return reg32a - 1 + words
}

// compileDNATTo handles "dnat ip to ADDRESS:PORT".
func compileDNATTo(to string) ([]expr.Any, error) {
	at, err := netip.ParseAddrPort(to)
	if err != nil || !at.Addr().Is4() {
		return nil, fmt.Errorf("bad destination %q", to)
	}
	return []expr.Any{
		&expr.Immediate{Register: reg1, Data: at.Addr().AsSlice()},
		&expr.Immediate{Register: reg2, Data: binaryutil.BigEndian.PutUint16(at.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg1, RegProtoMin: reg2},
	}, nil
}

func (t *table) chain(c chain) (*nftables.Chain, error) {
	out := &nftables.Chain{Name: c.Name, Table: t.ref()}
	if c.Hook == "" {
		return out, nil
	}
	hooks := map[string]*nftables.ChainHook{
		"prerouting":  nftables.ChainHookPrerouting,
		"input":       nftables.ChainHookInput,
		"forward":     nftables.ChainHookForward,
		"output":      nftables.ChainHookOutput,
		"postrouting": nftables.ChainHookPostrouting,
	}
	hook, ok := hooks[c.Hook]
	if !ok {
		return nil, fmt.Errorf("cannot compile chain %s: unknown hook %q", c.Name, c.Hook)
	}
	accept := nftables.ChainPolicyAccept
	out.Hooknum, out.Type, out.Policy = hook, nftables.ChainType(c.Kind), &accept
	out.Priority = nftables.ChainPriorityRef(nftables.ChainPriority(c.Priority))
	return out, nil
}

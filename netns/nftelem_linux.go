package netns

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

func (t *table) set(s set) (*nftables.Set, error) {
	key, err := datatype(s.Key)
	if err != nil {
		return nil, err
	}
	out := &nftables.Set{
		Table: t.ref(), Name: s.Name, KeyType: key, Concatenation: len(s.Key) > 1, Interval: s.balanced(),
		KeyByteOrder: binaryutil.NativeEndian, // of link names, for `nft list`
	}
	if out.Concatenation {
		out.KeyByteOrder = binaryutil.BigEndian
	}
	if len(s.Data) > 0 {
		out.IsMap = true
		if out.DataType, err = datatype(s.Data); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func datatype(fields []field) (nftables.SetDatatype, error) {
	known := map[field]nftables.SetDatatype{
		fieldLink:  nftables.TypeIFName,
		fieldProto: nftables.TypeInetProto,
		fieldIPv4:  nftables.TypeIPAddr,
		fieldIPv6:  nftables.TypeIP6Addr,
		fieldPort:  nftables.TypeInetService,
		fieldSlot:  nftables.TypeMark, // integer has no size, on which `nft list` stumbles
		fieldIndex: nftables.TypeMark,

		fieldVerdict: nftables.TypeVerdict,
	}
	types := make([]nftables.SetDatatype, len(fields))
	for i, f := range fields {
		types[i] = known[f]
	}
	if len(types) == 1 {
		return types[0], nil
	}
	t, err := nftables.ConcatSetType(types...)
	if err != nil {
		return t, fmt.Errorf("cannot make set type %v: %w", fields, err)
	}
	return t, nil
}

// fieldLen is the space a field takes in a concatenation.
func fieldLen(f field) int {
	switch f {
	case fieldLink, fieldIPv6:
		return 16
	}
	return 4
}

func encodeElements(s set, all []element) ([]nftables.SetElement, error) {
	out := make([]nftables.SetElement, len(all))
	for i, e := range all {
		low, high := e.Key, []string(nil)
		if s.balanced() {
			low, high = slotEnds(e.Key)
		}
		key, err := encodeFields(s.Key, low)
		if err != nil {
			return nil, fmt.Errorf("cannot encode element %v of set %s: %w", e, s.Name, err)
		}
		out[i] = nftables.SetElement{Key: key}
		if len(s.Data) == 1 && s.Data[0] == fieldVerdict {
			out[i].VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: strings.TrimPrefix(e.Data[0], "goto ")}
			continue
		}
		if out[i].Val, err = encodeFields(s.Data, e.Data); err != nil {
			return nil, fmt.Errorf("cannot encode element %v of set %s: %w", e, s.Name, err)
		}
		if high == nil {
			continue
		}
		if out[i].KeyEnd, err = encodeFields(s.Key, high); err != nil {
			return nil, fmt.Errorf("cannot encode element %v of set %s: %w", e, s.Name, err)
		}
	}
	return out, nil
}

// slotEnds are the lowest and the highest key of an element with a slot.
func slotEnds(key []string) (low, high []string) {
	n := len(key) - 1
	from, to, _ := strings.Cut(key[n], "-")
	return append(slices.Clone(key[:n]), from), append(slices.Clone(key[:n]), to)
}

func encodeFields(fields []field, values []string) ([]byte, error) {
	if len(fields) != len(values) {
		return nil, fmt.Errorf("%d values for %v", len(values), fields)
	}
	var out []byte
	for i, f := range fields {
		b := make([]byte, fieldLen(f))
		switch f {
		case fieldLink:
			if len(values[i]) > linkNameLen {
				return nil, fmt.Errorf("link name %q is too long", values[i])
			}
			copy(b, values[i])
		case fieldProto:
			b[0] = protocolNumber(values[i])
		case fieldPort:
			n, err := strconv.ParseUint(values[i], 10, 16)
			if err != nil {
				return nil, err
			}
			binary.BigEndian.PutUint16(b, uint16(n))
		case fieldSlot:
			n, err := strconv.ParseUint(values[i], 10, 32)
			if err != nil {
				return nil, err
			}
			binary.BigEndian.PutUint32(b, uint32(n))
		case fieldIndex:
			n, err := strconv.ParseUint(values[i], 10, 32)
			if err != nil {
				return nil, err
			}
			binary.NativeEndian.PutUint32(b, uint32(n))
		default:
			a, err := netip.ParseAddr(values[i])
			if err != nil {
				return nil, err
			}
			if copy(b, a.AsSlice()) != len(b) || a.Is4() != (f == fieldIPv4) {
				return nil, fmt.Errorf("%v is no %s", a, f)
			}
		}
		out = append(out, b...)
	}
	return out, nil
}

func protocolNumber(name string) byte {
	if name == "udp" {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

func decodeElements(s set, found []nftables.SetElement) ([]element, error) {
	out := make([]element, 0, len(found))
	for _, e := range found {
		key, err := decodeFields(s.Key, e.Key)
		if err != nil {
			return nil, err
		}
		if s.balanced() {
			high, err := decodeFields(s.Key, e.KeyEnd)
			if err != nil {
				return nil, err
			}
			key[len(key)-1] += "-" + high[len(high)-1]
		}
		data, err := decodeFields(s.Data, e.Val)
		if err != nil {
			return nil, err
		}
		out = append(out, element{Key: key, Data: data})
	}
	return out, nil
}

func decodeFields(fields []field, b []byte) (out []string, err error) {
	for _, f := range fields {
		if f == fieldVerdict {
			chain, err := verdictChain(b)
			return append(out, "goto "+chain), err
		}
		n := fieldLen(f)
		if len(b) < n {
			return nil, fmt.Errorf("short %s", f)
		}
		part := b[:n]
		b = b[n:]
		switch f {
		case fieldLink:
			out = append(out, unix.ByteSliceToString(part))
		case fieldProto:
			i := slices.Index([]byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP}, part[0])
			if i < 0 {
				return nil, fmt.Errorf("unknown protocol %d", part[0])
			}
			out = append(out, []string{"tcp", "udp"}[i])
		case fieldPort:
			out = append(out, strconv.Itoa(int(binary.BigEndian.Uint16(part))))
		case fieldSlot:
			out = append(out, strconv.FormatUint(uint64(binary.BigEndian.Uint32(part)), 10))
		case fieldIndex:
			out = append(out, strconv.FormatUint(uint64(binary.NativeEndian.Uint32(part)), 10))
		default:
			a, _ := netip.AddrFromSlice(part)
			out = append(out, a.String())
		}
	}
	return out, nil
}

// verdictChain reads the chain of a verdict's attributes.
func verdictChain(b []byte) (chain string, err error) {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return "", fmt.Errorf("cannot read a verdict: %w", err)
	}
	for ad.Next() {
		if ad.Type() == unix.NFTA_VERDICT_CHAIN {
			chain = ad.String()
		}
	}
	return chain, ad.Err()
}

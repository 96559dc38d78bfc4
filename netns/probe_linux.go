package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Facts are what a machine's network offers: for `doctor`. An error says that
// something does not work, or could not be found out.
type Facts struct {
	// Nftables is a try to use it, Bridge to make such a link.
	Nftables error
	Bridge   error
	// IPForward says whether the host forwards IPv4 already.
	IPForward bool
	IPv6      bool
	// BridgeFilter says that bridged packets pass the firewall
	// (bridge-nf-call-iptables).
	BridgeFilter bool
	// Drops are chains of others that drop forwarded packets or those for the host
	// unless told otherwise, as "table/chain (hook)".
	Drops    []string
	DropsErr error
}

// Probe finds the facts out in the caller's network namespace and changes nothing
// there: what it tries, it tries in a namespace of its own.
func Probe() Facts {
	var f Facts
	f.Nftables = inOwnSpace(tryTable)
	f.Bridge = inOwnSpace(tryBridge)
	f.IPForward = isSet(forward4)
	f.IPv6 = readable("net/ipv6/conf/all/forwarding")
	f.BridgeFilter = isSet("net/bridge/bridge-nf-call-iptables")
	f.Drops, f.DropsErr = foreignDrops()
	return f
}

func isSet(name string) bool {
	v, err := readSysctl(name)
	return err == nil && v != "0"
}

func readable(name string) bool {
	_, err := readSysctl(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// inOwnSpace calls fn on a thread with a network namespace of its own, which ends
// with the thread.
func inOwnSpace(fn func() error) error {
	done := make(chan error, 1)
	offMain(func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("cannot make a network namespace: %w", err)
			return
		}
		done <- fn()
	})
	return <-done
}

// tryTable makes a table with a chain as stack does.
func tryTable() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "stack-probe"})
	c.AddChain(&nftables.Chain{
		Name: "nat", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	return c.Flush()
}

func tryBridge() error {
	r, err := openRtnl()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.do(bridgeRequests(Network{ID: "probe", Name: "probe", Bridge: "st-probe"}, false)...)
	return err
}

// foreignDrops finds where accepts have to be added for bridges of ours.
func foreignDrops() ([]string, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	chains, err := c.ListChains()
	if err != nil {
		return nil, fmt.Errorf("cannot list chains: %w", err)
	}
	var out []string
	for _, chain := range chains {
		if !mayHoldAccepts(chain) || chain.Hooknum == nil {
			continue
		}
		rules, err := c.GetRules(chain.Table, chain)
		if err != nil {
			return out, fmt.Errorf("cannot read chain %s of table %s: %w", chain.Name, chain.Table.Name, err)
		}
		if drops(chain, rules) {
			hook := "forward"
			if *chain.Hooknum == *nftables.ChainHookInput {
				hook = "input"
			}
			out = append(out, strings.Join([]string{chain.Table.Name, chain.Name}, "/")+" ("+hook+")")
		}
	}
	return out, nil
}

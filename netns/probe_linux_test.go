package netns

import (
	"net"
	"os"
	"testing"
)

func TestProbe(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("STACK_TEST_STRICT") != "" {
			t.Fatal("needs root")
		}
		t.Skip("skipped: needs root")
	}
	f := Probe()
	if f.Nftables != nil || f.Bridge != nil || f.DropsErr != nil {
		t.Errorf("nftables: %v; bridge: %v; chains: %v", f.Nftables, f.Bridge, f.DropsErr)
	}
	if _, err := net.InterfaceByName("st-probe"); err == nil {
		t.Error("the probe left a link on the host")
	}
}

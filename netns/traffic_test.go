package netns

import (
	"os"
	"strings"
	"testing"
)

func TestParseTraffic(t *testing.T) {
	in, out, err := parseTraffic(strings.NewReader(`Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    9999     10    0    0    0     0          0         0     9999      10    0    0    0     0       0          0
  eth0: 1000      10    0    0    0     0          0         0     200       5    0    0    0     0       0          0
  eth1:5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0
`))
	if in != 1005 || out != 207 || err != nil {
		t.Errorf("got %d, %d, %v", in, out, err)
	}
	if in, out, err := Traffic(os.Getpid()); in != 0 || out != 0 || err != nil {
		t.Errorf("own namespace: %d %d %v", in, out, err)
	}
}

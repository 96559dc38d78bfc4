package image

import (
	"fmt"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestChange(t *testing.T) {
	var c v1.ImageConfig
	for _, line := range []string{
		`CMD ["a", "b c"]`, "ENTRYPOINT run it", `env A=b C="d e" F='g\h' "H=i j" K=l\ m`, "ENV OLD some  text", "LABEL a.b=c",
		"EXPOSE 80 53/udp", `VOLUME ["/a", "/b"]`, "VOLUME /c", "USER me", "WORKDIR /w", "STOPSIGNAL INT",
	} {
		if err := change(&c, line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	got := fmt.Sprintf("%q %q %q %v %v %v %s %s %s", c.Cmd, c.Entrypoint, c.Env, c.Labels, c.ExposedPorts, c.Volumes, c.User, c.WorkingDir, c.StopSignal)
	want := `["a" "b c"] ["/bin/sh" "-c" "run it"] ["A=b" "C=d e" "F=g\\h" "H=i j" "K=l m" "OLD=some  text"] map[a.b:c] map[53/udp:{} 80/tcp:{}] map[/a:{} /b:{} /c:{}] me /w INT`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, line := range []string{"", "CMD", "ENV A", "ENV A=b c", "LABEL =x", "RUN true"} {
		if err := change(&c, line); err == nil {
			t.Errorf("%q passed", line)
		}
	}
}

package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/sys/signal"
)

// extensionReader turns a tree under x-stack into its types and reports what the
// schema cannot see. The schema reports values of a wrong kind, which read as
// zero here.
type extensionReader struct{ *report }

func (x extensionReader) service(v *value) XStack {
	return XStack{
		Bandwidth: x.bandwidth(v.get("bandwidth")),
		Probe:     x.probe(v.get("probe")),
		Isolation: Isolation(v.get("isolation").text()),
		Kernel:    v.get("kernel").text(),
		Watch:     x.watch(v.get("watch")),
		Once:      x.truth(v.get("once"), "once"),

		Schedule:       v.get("schedule").text(),
		KeepUnhealthy:  v.get("autoheal") != nil && !x.truth(v.get("autoheal"), "autoheal"),
		OnConfigChange: x.signal(v.get("on_config_change")),
	}
}

func (x extensionReader) signal(v *value) string {
	if v == nil || v.kind != scalar {
		return ""
	}
	if _, err := signal.ParseSignal(v.text()); err != nil {
		x.addf(v.at, "extension", "there is no signal %s", quote(v))
	}
	return v.text()
}

func (x extensionReader) network(v *value) NetworkXStack {
	return NetworkXStack{Bandwidth: x.bandwidth(v.get("bandwidth"))}
}

func (x extensionReader) bandwidth(v *value) Bandwidth {
	return Bandwidth{Ingress: x.rate(v.get("ingress")), Egress: x.rate(v.get("egress"))}
}

func (x extensionReader) rate(v *value) Rate {
	text, ok := v.string()
	if !ok {
		return 0
	}
	rate, err := ParseRate(text)
	if err != nil {
		x.add(v.at, "extension", err.Error(), rateHint)
	}
	return rate
}

func (x extensionReader) probe(v *value) *Probe {
	if v == nil || v.kind != mapping {
		return nil
	}
	p := &Probe{
		HTTP: x.http(v.get("http")), TCP: x.port(v.get("tcp")), Exec: x.command(v.get("exec")),
		Interval: x.duration(v, "interval"), Timeout: x.duration(v, "timeout"),
		StartPeriod: x.duration(v, "start_period"), StartInterval: x.duration(v, "start_interval"),
		Retries: x.count(v.get("retries")),
	}
	ways := 0
	for _, way := range []string{"http", "tcp", "exec"} {
		if v.get(way) != nil {
			ways++
		}
	}
	if ways != 1 {
		x.add(v.named(), "extension", fmt.Sprintf("a probe needs one of http, tcp and exec, and has %d", ways), "")
	}
	return p
}

// headerName is a token as RFC 9110 has it.
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// http is PORT, PORT/PATH, or a mapping.
func (x extensionReader) http(v *value) *HTTPProbe {
	if v == nil || v.kind == sequence {
		return nil
	}
	if v.kind == scalar {
		port, path, _ := strings.Cut(v.text(), "/")
		return &HTTPProbe{Port: x.portOf(v, port), Path: "/" + path, Scheme: "http"}
	}
	p := &HTTPProbe{Port: x.port(v.get("port")), Path: v.get("path").text(), Scheme: v.get("scheme").text()}
	if p.Scheme == "" {
		p.Scheme = "http"
	}
	if !strings.HasPrefix(p.Path, "/") {
		p.Path = "/" + p.Path
	}
	v.get("headers").each(func(name string, member *value) {
		if p.Headers == nil {
			p.Headers = map[string]string{}
		}
		if !headerName.MatchString(name) || strings.ContainsAny(member.text(), "\r\n\x00") {
			x.addf(member.named(), "extension", "%q is no HTTP header", name)
		}
		p.Headers[name] = member.text()
	})
	return p
}

func (x extensionReader) port(v *value) uint16 {
	if v == nil || v.kind != scalar {
		return 0
	}
	return x.portOf(v, v.text())
}

func (x extensionReader) portOf(v *value, text string) uint16 {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		x.addf(v.at, "extension", "%q is no port", text)
	}
	return uint16(n)
}

// command is a list, or a string to be split into words.
func (x extensionReader) command(v *value) []string {
	var words types.ShellCommand
	switch {
	case v == nil || v.kind == mapping:
		return nil
	case v.kind == scalar:
		if err := words.DecodeMapstructure(v.text()); err != nil {
			x.add(v.at, "extension", "exec cannot be split into words: "+err.Error(), "close the quotes, or write a list")
		}
	default:
		for _, item := range v.items {
			words = append(words, item.text())
		}
	}
	if len(words) == 0 {
		x.add(v.at, "extension", "exec needs a command", "")
	}
	return words
}

func (x extensionReader) duration(v *value, name string) time.Duration {
	v = v.get(name)
	if v == nil || v.kind != scalar {
		return 0
	}
	var d types.Duration
	if err := d.DecodeMapstructure(v.text()); err != nil || d < 0 || v.text() == "" {
		x.add(v.at, "extension", name+" cannot be "+quote(v)+": it is no duration", durationHint)
		return 0
	}
	return time.Duration(d)
}

func (x extensionReader) count(v *value) int {
	if v == nil || v.kind != scalar {
		return 0
	}
	n, err := strconv.Atoi(v.text())
	if err != nil || n < 0 {
		x.addf(v.at, "extension", "retries cannot be %s", quote(v))
	}
	return n
}

func (x extensionReader) truth(v *value, name string) bool {
	if v == nil || v.kind != scalar {
		return false
	}
	text := yaml12(v.text())
	if text != "true" && text != "false" {
		x.addf(v.at, "extension", "%s must be true or false, not %s", name, quote(v))
	}
	return text == "true"
}

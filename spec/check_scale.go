package spec

import (
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"
)

// replicas is how many a service asks for (1 by default), and where.
func (s *service) replicas() (int, place) {
	for _, v := range []*value{s.v.get("scale"), s.v.get("deploy", "replicas")} {
		if n, err := strconv.Atoi(v.text()); err == nil {
			return n, v.at
		}
	}
	return 1, s.v.named()
}

// checkScale: numbers that can be given in two ways agree, and none is negative.
func checkScale(m *model, r *report) {
	for _, s := range m.enabled() {
		if n, at := s.replicas(); n < 0 {
			r.addf(at, "value", "service %q cannot have %d replicas", s.name, n)
		}
		limits := s.v.get("deploy", "resources", "limits")
		reservations := s.v.get("deploy", "resources", "reservations")
		agree(r, s, "scale", s.v.get("deploy", "replicas"), "deploy.replicas")
		agree(r, s, "cpus", limits.get("cpus"), "deploy.resources.limits.cpus")
		agree(r, s, "pids_limit", limits.get("pids"), "deploy.resources.limits.pids")
		agree(r, s, "mem_limit", limits.get("memory"), "deploy.resources.limits.memory")
		agree(r, s, "mem_reservation", reservations.get("memory"), "deploy.resources.reservations.memory")
	}
}

func agree(r *report, s *service, name string, other *value, path string) {
	v := s.v.get(name)
	if v == nil || other == nil || v.text() == other.text() {
		return
	}
	x, okX := amount(v)
	y, okY := amount(other)
	if okX && okY && x != y {
		r.addf(v.at, "exclusive", "%s of service %q says %s, %s says %s", name, s.name, v.text(), path, other.text())
	}
}

// amount is a number with or without a unit.
func amount(v *value) (float64, bool) {
	if f, err := strconv.ParseFloat(v.text(), 64); err == nil {
		return f, true
	}
	var b types.UnitBytes
	err := b.DecodeMapstructure(v.text())
	return float64(b), err == nil
}

package spec

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// bound is the range that a numeric attribute of a service must be in.
type bound struct {
	path     []string
	min, max float64
	integer  bool
}

const noMax = 1 << 62

func bounds() []bound {
	return []bound{
		{[]string{"cpus"}, 0, noMax, false},
		{[]string{"deploy", "resources", "limits", "cpus"}, 0, noMax, false},
		{[]string{"deploy", "resources", "reservations", "cpus"}, 0, noMax, false},
		{[]string{"cpu_shares"}, 0, 262144, true},
		{[]string{"cpu_period"}, 0, 1000000, true},
		{[]string{"cpu_quota"}, -1, noMax, true},
		{[]string{"pids_limit"}, -1, noMax, true},
		{[]string{"deploy", "resources", "limits", "pids"}, -1, noMax, true},
		{[]string{"oom_score_adj"}, -1000, 1000, true},
		{[]string{"scale"}, 0, 1 << 16, true},
		{[]string{"deploy", "replicas"}, 0, 1 << 16, true},
		{[]string{"deploy", "restart_policy", "max_attempts"}, 0, noMax, true},
		{[]string{"healthcheck", "retries"}, 0, noMax, true},
	}
}

var cpuList = regexp.MustCompile(`^\d+(-\d+)?(,\d+(-\d+)?)*$`)

// checkNumbers: numbers are numbers, in range; ulimits and CPU lists too.
func checkNumbers(m *model, r *report) {
	for _, s := range m.enabled() {
		for _, b := range bounds() {
			b.check(r, s.v.get(b.path...))
		}
		if v := s.v.get("cpuset"); v.text() != "" && !cpuList.MatchString(v.text()) {
			r.add(v.at, "value", "cpuset cannot be "+quote(v), "write 0-3 or 0,2")
		}
		checkWeight(r, s.v.get("blkio_config"))
		for _, item := range s.v.get("blkio_config", "weight_device").list() {
			checkWeight(r, item)
		}
		for _, item := range s.v.get("group_add").list() {
			if _, fraction := item.data.(float64); fraction {
				r.addf(item.at, "type", "%s is no group", item.text())
			}
		}
		s.v.get("ulimits").each(func(name string, v *value) { checkUlimit(r, name, v) })
	}
}

func (b bound) check(r *report, v *value) {
	if v == nil || v.kind != scalar || v.data == nil {
		return
	}
	f, err := strconv.ParseFloat(v.text(), 64)
	whole := f == float64(int64(f)) && !strings.ContainsAny(v.text(), ".eExX_")
	switch {
	case err != nil || b.integer && !whole:
		kind := "a number"
		if b.integer {
			kind = "an integer"
		}
		r.addf(v.at, "type", "%s must be %s, not %q", last(b.path), kind, v.text())
	case !(f >= b.min && f <= b.max):
		r.addf(v.at, "value", "%s cannot be %s", last(b.path), v.text())
	}
}

// checkWeight: unlike other numbers a weight cannot be written as text.
func checkWeight(r *report, parent *value) {
	v := parent.get("weight")
	if _, ok := v.string(); ok {
		r.add(v.at, "type", "weight must be an integer, not a string", "leave out the quotes")
		return
	}
	bound{[]string{"weight"}, 0, 1000, true}.check(r, v)
}

func ulimitNames() []string {
	return []string{"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
		"rss", "rtprio", "rttime", "sigpending", "stack"}
}

func checkUlimit(r *report, name string, v *value) {
	if !slices.Contains(ulimitNames(), name) {
		r.add(v.named(), "value", "there is no ulimit "+strconv.Quote(name), DidYouMean(name, ulimitNames()))
		return
	}
	soft, hard := v.get("soft"), v.get("hard")
	if v.kind == scalar {
		soft, hard = v, v
	}
	x, err1 := strconv.Atoi(soft.text())
	y, err2 := strconv.Atoi(hard.text())
	switch {
	case soft == nil || hard == nil: // the schema says so
	case err1 != nil || x < -1:
		r.addf(soft.at, "value", "the limit %s cannot be %q", name, soft.text())
	case err2 != nil || y < -1:
		r.addf(hard.at, "value", "the limit %s cannot be %q", name, hard.text())
	case y >= 0 && (x > y || x < 0):
		r.addf(soft.at, "value", "the soft limit of %s is above the hard one", name)
	}
}

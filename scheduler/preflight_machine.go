package scheduler

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"

	"stack/runtime/image"
	"stack/spec"
)

// Facts are what Preflight must know of the machine.
type Facts struct {
	Arch   string // GOARCH
	Memory int64  // bytes
	CPUs   int
	// Interpreters are the entries of binfmt_misc, as files of /proc.
	Interpreters []string
}

// platform sees that the machine runs programs of the platform that is asked for. A
// directory has none.
func (p *preflight) platform(svc types.ServiceConfig) {
	if svc.Platform == "" || strings.HasPrefix(svc.Image, "rootfs:") || runsHere(svc.Platform, p.facts.Arch, p.facts.Interpreters) {
		return
	}
	p.say("platform", fmt.Sprintf("programs of %s do not run on this machine (linux/%s): binfmt_misc has no enabled interpreter for them with flag F",
		svc.Platform, p.facts.Arch), "services", svc.Name, "platform")
}

// runtime sees that the OCI runtime is there.
func (p *preflight) runtime(svc types.ServiceConfig) {
	if svc.Runtime == "" {
		return
	}
	if err := p.m.Runtime(svc.Runtime); err != nil {
		p.say("runtime", err.Error(), "services", svc.Name, "runtime")
	} else if p.writable(svc.Runtime) {
		p.say("runtime", fmt.Sprintf("runtime %s lies in the stack's folder: who can write that, a container perhaps, would run programs as root of the host; "+
			"put it elsewhere", svc.Runtime), "services", svc.Name, "runtime")
	}
}

// writable reports whether a program lies in the stack's folder, or is found by a link
// there.
func (p *preflight) writable(program string) bool {
	if !filepath.IsAbs(program) {
		return false
	}
	home := p.st.Home()
	real, err := filepath.EvalSymlinks(program)
	return err == nil && spec.Within(home, real) || spec.Within(home, program) || spec.Within(p.st.WorkingDir, program)
}

// storage sees that bounds of writable layers can be kept. A machine's is its disk.
func (p *preflight) storage(svc types.ServiceConfig) {
	if !isMachine(svc) {
		p.bound(svc.StorageOpt, "services", svc.Name)
	}
	for n, h := range svc.PreStart {
		p.bound(h.StorageOpt, "services", svc.Name, "pre_start", strconv.Itoa(n))
	}
}

func (p *preflight) bound(options map[string]string, path ...string) {
	size, err := storageSize(options)
	if err == nil && size > 0 {
		err = p.m.Quotas()
	}
	if err != nil {
		p.say("storage", err.Error(), append(path, "storage_opt", "size")...)
	}
}

// containerName sees that the command line does not ask for several of one name.
func (p *preflight) containerName(svc types.ServiceConfig) {
	if n := svc.GetScale(); svc.ContainerName != "" && n > 1 {
		p.say("container-name", fmt.Sprintf("service %q cannot have %d replicas of one container_name", svc.Name, n), "services", svc.Name, "container_name")
	}
}

// health sees that what is to be waited for can become healthy.
func (p *preflight) health(svc types.ServiceConfig) {
	for name, need := range svc.DependsOn {
		dep, ok := p.st.Services[name]
		if !ok || need.Condition != types.ServiceConditionHealthy || dep.GetScale() == 0 || dep.Image == "" {
			continue
		}
		img, known := p.imageCheck(dep)
		probe, err := ServiceProbe(dep, img)
		if err != nil || !probe.None() || !known {
			continue
		}
		why := "neither the file nor its image gives it a health check"
		if dep.HealthCheck != nil && dep.HealthCheck.Disable {
			why = "its health check is disabled"
		}
		p.say("no-healthcheck", fmt.Sprintf("service %q waits for %q to be healthy, but %s", svc.Name, name, why),
			"services", svc.Name, "depends_on", name, "condition")
	}
}

// imageCheck is the health check of a service's image; known is false while the image
// is not here.
func (p *preflight) imageCheck(svc types.ServiceConfig) (check *image.Healthcheck, known bool) {
	if strings.HasPrefix(svc.Image, "rootfs:") || svc.HealthCheck != nil && svc.HealthCheck.Disable {
		return nil, true
	}
	if svc.Build != nil {
		return nil, false
	}
	all, err := p.m.Images()
	if err != nil {
		return nil, false
	}
	rec, ok := image.FindFor(all, image.Absolute(svc.Image, p.st.WorkingDir), svc.Platform)
	return rec.Image.Healthcheck, ok
}

// reservation is what one service wants to have for itself.
type reservation struct {
	service string
	each    float64
	times   int
}

func (r reservation) total() float64 { return r.each * float64(r.times) }

// reservations sees that the machine has what services reserve together. They are
// told at the largest.
func (p *preflight) reservations(services []string) {
	var memory, cpus []reservation
	for _, name := range services {
		svc, ok := p.st.Services[name]
		if !ok {
			continue
		}
		r := resourcesOf(svc)
		memory = append(memory, reservation{name, float64(r.reservation), svc.GetScale()})
		cpus = append(cpus, reservation{name, r.reservedCPUs, svc.GetScale()})
	}
	p.exceeds("memory", memory, float64(p.facts.Memory), func(n float64) string { return units.BytesSize(n) })
	p.exceeds("CPUs", cpus, float64(p.facts.CPUs), func(n float64) string { return strconv.FormatFloat(n, 'g', 4, 64) })
}

func (p *preflight) exceeds(what string, all []reservation, has float64, show func(float64) string) {
	all = slices.DeleteFunc(all, func(r reservation) bool { return r.total() <= 0 })
	slices.SortStableFunc(all, func(a, b reservation) int { return cmp.Compare(b.total(), a.total()) })
	sum := 0.0
	var parts []string
	for _, r := range all {
		sum += r.total()
		part := r.service + " " + show(r.each)
		if r.times > 1 {
			part += fmt.Sprintf(" × %d", r.times)
		}
		parts = append(parts, part)
	}
	if has <= 0 || sum <= has {
		return
	}
	svc := p.st.Services[all[0].service]
	path := []string{"services", svc.Name}
	if svc.MemReservation > 0 && what == "memory" {
		path = append(path, "mem_reservation")
	} else {
		path = append(path, "deploy", "resources", "reservations", strings.ToLower(what))
	}
	p.say("reservations", fmt.Sprintf("the reservations add up to %s of %s, but the machine has %s: %s", show(sum), what, show(has), strings.Join(parts, ", ")), path...)
}

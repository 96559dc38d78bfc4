package scheduler

import (
	"fmt"
	"strconv"
)

// run plans a fresh replica's way to running, paused or restarted.
func (p *planner) run(r *Instance, sw ServiceWish, hooks *preparation, after []string) {
	start := func(cause string, after []string) {
		p.op(Op{Kind: OpStart, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: cause, After: after})
	}
	switch r.State {
	case StateCreated, StateExited:
		switch {
		case r.FailedSeq > 0 && r.FailedSeq >= sw.Start && r.Error != "":
			p.fail(r.Service, fmt.Sprintf("container %s: %s", r.Name, r.Error))
		case !p.wantsStart(r, sw):
		case hooks.started(r.Number, r, after):
			start("wanted running", after)
		}
	case StateRestarting:
		if r.WantStopped {
			p.stop(r, "asked to stop", nil)
			return
		}
		if sw.Goal == GoalRun && r.reached() < sw.Start {
			start("wanted running", after)
			return
		}
		p.dueRestart(r)
	case StateRunning, StatePaused:
		if r.WantStopped {
			p.stop(r, "asked to stop", nil)
			return
		}
		if cause := p.restartCause(r); cause != "" && sw.Goal == GoalRun {
			stop := p.stop(r, cause, p.dependentsFirst(r.Service))
			start(cause, append([]string{stop}, after...))
			return
		}
		if cause := p.lostGround(r); cause != "" && sw.Goal == GoalRun && !r.Held {
			p.op(Op{Kind: OpStop, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: cause, Again: true})
			return
		}
		if r.HookError != "" {
			p.fail(r.Service, r.HookError)
		}
		if p.ails(r, sw) {
			p.op(Op{Kind: OpStop, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number,
				Cause: "it is unhealthy" + lastProbe(r), Unhealthy: true})
			return
		}
		p.pausing(r)
	case StateStopping:
		p.stop(r, "stopping", nil)
	}
}

// wantsStart reports whether a command newer than the last start, or than a
// person's stop, asks for the replica to run.
func (p *planner) wantsStart(r *Instance, sw ServiceWish) bool {
	if sw.Goal != GoalRun {
		return r.WantStart > r.StartedSeq
	}
	again := max(p.restartSeq(r), r.WantStart)
	asked := r.reached() < p.asked(r, sw) && !p.completedOnce(r, sw)
	return (asked || r.StartedSeq < again) && !(r.Held && r.HeldSeq >= max(sw.Start, again))
}

// keepAlive plans what needs no wish: due restarts, asked pauses and removals.
func (p *planner) keepAlive(name string, sw ServiceWish) {
	for _, r := range p.seen.replicas(name) {
		p.tend(r)
	}
}

// tend plans what an instance needs by itself.
func (p *planner) tend(r *Instance) {
	switch {
	case r.Discard:
		p.remove(r, "asked to be removed", nil)
	case r.State == StateRestarting && r.WantStopped:
		p.stop(r, "asked to stop", nil)
	case r.State == StateRestarting:
		p.dueRestart(r)
	case r.State == StateStopping:
		p.stop(r, "stopping", nil)
	case r.live() && r.WantStopped:
		p.stop(r, "asked to stop", nil)
	case r.live():
		p.pausing(r)
	case r.WantStart > r.StartedSeq && r.FailedSeq < r.WantStart:
		p.op(Op{Kind: OpStart, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: "asked to start"})
	}
}

func (p *planner) dueRestart(r *Instance) {
	if wait := r.NextStart.Sub(p.now); wait > 0 {
		p.plan.requeue(wait)
		return
	}
	if !p.hasGround(r) {
		return // its owner's next start wakes the loop
	}
	p.op(Op{Kind: OpStart, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: "restart policy after " + exitText(r)})
}

func exitText(r *Instance) string {
	if r.Exit == nil {
		return "an exit"
	}
	return "exit " + strconv.Itoa(r.Exit.Code)
}

func (p *planner) pausing(r *Instance) {
	switch {
	case r.WantPaused && r.State == StateRunning:
		p.op(Op{Kind: OpPause, Target: r.Name, Service: r.Service, Instance: r.ID, Cause: "asked to pause"})
	case !r.WantPaused && r.State == StatePaused:
		p.op(Op{Kind: OpUnpause, Target: r.Name, Service: r.Service, Instance: r.ID, Cause: "asked to go on"})
	}
}

// restartSeq is the newest command that restarts r: its service's, or that of a
// dependency declared with restart: true.
func (p *planner) restartSeq(r *Instance) uint64 { return p.restartedBy(r.Service) }

func (p *planner) restartedBy(service string) uint64 {
	seq := p.want.Services[service].Restart
	for _, e := range p.want.Graph.Needs(service) {
		if !e.Restart {
			continue
		}
		seq = max(seq, p.restartedBy(e.Service)) // what it needs itself restarts it as well
		for _, d := range p.seen.replicas(e.Service) {
			if d.Replaces {
				seq = max(seq, d.CreatedSeq)
			}
		}
	}
	return seq
}

// restarts reports whether r is on its way down and up again.
func (p *planner) restarts(r *Instance, sw ServiceWish) bool {
	if sw.Goal != GoalRun || p.restartSeq(r) <= r.StartedSeq {
		return false
	}
	return r.live() || p.wantsStart(r, sw)
}

// restartCause returns why a running replica must be stopped and started, or "".
func (p *planner) restartCause(r *Instance) string {
	if p.want.Services[r.Service].Restart > r.StartedSeq {
		return "asked to restart"
	}
	if p.restartSeq(r) > r.StartedSeq {
		return "a dependency was recreated"
	}
	return ""
}

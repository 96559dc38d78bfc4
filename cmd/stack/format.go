package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"stack/netns"
	"stack/runtime/external"
	"stack/scheduler"
)

// ago is a duration as people say it.
func ago(d time.Duration) string { return scheduler.HumanDuration(d) }

// portsText lists published ports as Docker does: 0.0.0.0:8080->80/tcp.
func portsText(i *scheduler.Instance) string {
	var out []string
	for _, p := range i.Ports {
		out = append(out, fmt.Sprintf("%s->%d/%s", address(p), p.Target, p.Protocol))
	}
	return strings.Join(out, ", ")
}

// hostIP is the address of this machine that a port is published at.
func hostIP(p netns.Port) string {
	if p.HostIP.IsValid() {
		return p.HostIP.String()
	}
	return "0.0.0.0"
}

// address is where a port is published: 0.0.0.0:8080, or [::1]:8080.
func address(p netns.Port) string {
	return net.JoinHostPort(hostIP(p), strconv.Itoa(int(p.HostPort)))
}

// openness tells in a table of isolation that a running container does without.
func openness(i *scheduler.Instance) string {
	switch {
	case !live(i):
		return ""
	case i.Privileged:
		return ", privileged"
	case i.HostUserNS:
		return ", host user namespace"
	}
	return ""
}

// foreign names the runtime of a running container that is not the native one.
func foreign(i *scheduler.Instance) string {
	if !live(i) || external.Native(i.Runtime) {
		return ""
	}
	return ", " + i.Runtime
}

// psEntry is a container in `ps --format json`, with Docker Compose's keys.
type psEntry struct {
	ID, Name, Names, Image, Command, Project, Service string
	State, Status, Health                             string
	ExitCode                                          int
	CreatedAt                                         string
	Created                                           int64
	RunningFor                                        string
	Ports                                             string
	Publishers                                        []publisher
	Labels, LocalVolumes, Mounts, Networks, Size      string
	Error                                             string   `json:",omitempty"`
	Warnings                                          []string `json:",omitempty"`
	Restarts                                          int
	OOMKilled                                         bool `json:",omitempty"`
	// Conditions tell since when it is started, healthy and ready, or why not.
	Conditions []scheduler.InstanceCondition
	// HostUserNS and Privileged tell of isolation that was given up.
	HostUserNS bool   `json:",omitempty"`
	Privileged bool   `json:",omitempty"`
	NextRun    string `json:",omitempty"` // of a scheduled service, RFC 3339
	// Runtime is the OCI runtime, unless it is the native one.
	Runtime string `json:",omitempty"`
}

type publisher struct {
	URL           string
	TargetPort    uint16
	PublishedPort uint16
	Protocol      string
}

// psRow is a container's row. IDs and commands are cut as in Docker Compose's, JSON too,
// but for noTrunc.
func psRow(s *scheduler.Store, i *scheduler.Instance, noTrunc bool) psEntry {
	row := (&containerLsOptions{noTrunc: noTrunc}).row(scheduler.Container{Store: s, Instance: i})
	e := psEntry{
		ID: row.ID, Name: i.Name, Names: i.Name, Image: i.Image, Command: row.Command,
		Project: s.Project, Service: i.Service, State: row.State, Status: row.Status,
		CreatedAt: row.CreatedAt, Created: i.Created.Unix(), RunningFor: row.RunningFor,
		Ports: portsText(i), Publishers: []publisher{}, Error: i.Error, Warnings: i.Warnings, Restarts: i.Restarts,
		Labels: row.Labels, LocalVolumes: row.LocalVolumes, Mounts: row.Mounts, Networks: row.Networks, Size: "0B",
		HostUserNS: i.HostUserNS, Privileged: i.Privileged, Runtime: i.Runtime, Conditions: i.Conditions(),
	}
	if i.Health != scheduler.HealthNone {
		e.Health = string(i.Health)
	}
	if i.Exit != nil {
		e.ExitCode, e.OOMKilled = i.Exit.Code, i.Exit.OOMKilled
	}
	for _, p := range i.Ports {
		e.Publishers = append(e.Publishers, publisher{hostIP(p), p.Target, p.HostPort, p.Protocol})
	}
	return e
}

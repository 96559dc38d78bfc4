package main

import (
	"fmt"
	"strings"
	"time"

	"stack/runtime/external"
	"stack/scheduler"
)

// ago is a duration as people say it.
func ago(d time.Duration) string { return scheduler.HumanDuration(d) }

// portsText lists published ports as Docker does: 0.0.0.0:8080->80/tcp.
func portsText(i *scheduler.Instance) string {
	var out []string
	for _, p := range i.Ports {
		host := "0.0.0.0"
		if p.HostIP.IsValid() {
			host = p.HostIP.String()
		}
		out = append(out, fmt.Sprintf("%s:%d->%d/%s", host, p.HostPort, p.Target, p.Protocol))
	}
	return strings.Join(out, ", ")
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
	Labels                                            string
	Error                                             string   `json:",omitempty"`
	Warnings                                          []string `json:",omitempty"`
	Restarts                                          int
	OOMKilled                                         bool `json:",omitempty"`
	// Conditions tell since when it is started, healthy and ready, or why not.
	Conditions []scheduler.InstanceCondition
	// HostUserNS and Privileged tell of isolation that was given up.
	HostUserNS bool `json:",omitempty"`
	Privileged bool `json:",omitempty"`
	// Runtime is the OCI runtime, unless it is the native one.
	NextRun string `json:",omitempty"` // of a scheduled service, RFC 3339
	Runtime string `json:",omitempty"`
}

type publisher struct {
	URL           string
	TargetPort    uint16
	PublishedPort uint16
	Protocol      string
}

func psRow(s *scheduler.Store, i *scheduler.Instance) psEntry {
	e := psEntry{
		ID: i.ID, Name: i.Name, Names: i.Name, Image: i.Image, Command: strings.Join(i.Command, " "),
		Project: s.Project, Service: i.Service, State: i.Status(), Status: i.StatusText(time.Now()),
		CreatedAt: i.Created.Format(time.RFC3339), Created: i.Created.Unix(), RunningFor: ago(time.Since(i.Created)) + " ago",
		Ports: portsText(i), Publishers: []publisher{}, Error: i.Error, Warnings: i.Warnings, Restarts: i.Restarts,
		HostUserNS: i.HostUserNS, Privileged: i.Privileged, Runtime: i.Runtime, Conditions: i.Conditions(),
	}
	if i.Health != scheduler.HealthNone {
		e.Health = string(i.Health)
	}
	if i.Exit != nil {
		e.ExitCode, e.OOMKilled = i.Exit.Code, i.Exit.OOMKilled
	}
	for _, p := range i.Ports {
		url := "0.0.0.0"
		if p.HostIP.IsValid() {
			url = p.HostIP.String()
		}
		e.Publishers = append(e.Publishers, publisher{url, p.Target, p.HostPort, p.Protocol})
	}
	var labels []string
	for k, v := range i.Labels {
		labels = append(labels, k+"="+v)
	}
	e.Labels = strings.Join(labels, ",")
	return e
}

// Package api carries commands and events between the command line and a
// project's controller: HTTP with JSON over the unix socket RUN/PROJECT/api.sock,
// which only the owner may connect to.
//
//	POST /v1/do       Command → stream of Reply, one JSON object a line
//	GET  /v1/events   stream of Event
//	GET  /v1/plan     Plan of the controller's last turn
//	GET  /v1/metrics  the text format of OpenMetrics 1.0
//	GET  /v1/version  Version
//
// It imports scheduler and nothing else of ours.
package api

// Package dns is the embedded resolver: it answers names of containers on the
// networks that the asking container is on, and forwards every other question to
// the host's (or the service's own) name servers.
//
// It imports nothing of ours. It is given sockets that were made inside each
// container's network namespace (127.0.0.11, a high port; a rule there redirects
// port 53), so it never listens on the host. Names come from a Source, which the
// caller backs with the lease files. Forwarding uses sockets of the caller's own
// namespace, so a resolver on the host's loopback can be asked.
//
//	query ─ udp.go, tcp.go ─▶ parse ─▶ local (Source) ─▶ reply
//	                                └▶ forwarder (upstreams) ─▶ reply
//
// All of one container's questions are answered in the goroutine that reads its
// socket, but for forwarded ones, whose number is bounded for each container and
// for all together: a container can neither exhaust the controller nor keep the
// others waiting.
package dns

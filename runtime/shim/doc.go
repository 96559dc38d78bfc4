// Package shim is the small process that stays when everything else of a stack
// dies: the parent of its containers and of its controller, one per stack.
//
// It imports runtime, runtime/flock and runtime/log only, and no package with costly
// initialisation: stack-shim links it, and 50 replicas must fit in a few
// megabytes. It does four things and no more:
//
//   - reaps children and writes exit records;
//   - copies container output (pipes and terminals) to log files, and to whoever
//     is attached;
//   - keeps descriptors for the controller (listening sockets, port
//     reservations, pidfds) and hands them to the next one;
//   - restarts a dead controller, and stops when told.
//
// The controller talks to it over DIR/shim.sock, one JSON message a packet
// (SOCK_SEQPACKET) with descriptors alongside; see protocol.go for the table of
// messages. Run is the shim's side, Client the other; Ensure starts a shim where
// none lives.
//
//	container ─▶ FIFO or terminal ─▶ stream ─▶ runtime/log.Writer
//	                                    └────▶ attached clients
//	exit ─▶ SIGCHLD or pidfd ─▶ exit record ─▶ drain streams ─▶ wake
//
// The controller's Keeper holds duplicates of what the shim holds. When the
// shim dies, the Keeper starts a new one and hands everything over; the new shim
// starts a fresh controller as soon as the old one has exited, which it learns
// from DIR/controller.lock.
//
// Files in DIR (RUN/PROJECT, 0700), all made and removed by the shim:
//
//	shim.sock        requests to the shim
//	api.sock         the controller's API; the shim listens, so that clients
//	                 queue while there is no controller; held under APIName
//	shim.json        Info
//	shim.lock        flock of the living shim
//	controller.lock  fcntl lock of the living controller
//	shim.log         what shim and controller print; shim.log.1 the one before
package shim

package shim

import (
	"stack/runtime"
)

// The handshake, client on the left. Every request is one SOCK_SEQPACKET packet
// of JSON (Request), descriptors alongside as SCM_RIGHTS; every answer is one
// packet (Response), in order.
//
//	client                      shim
//	hello                 ──▶
//	                      ◀──   Response{Version, Pid, Stopping, Failures}
//	adopt ID, pid, start  ──▶         remembers whose exit that is; a code that
//	  [pidfd]                         was reaped before adopt is matched by pid
//	                      ◀──   Response{} [pidfd], without it when exited
//	stdio ID, log [fds]   ──▶         takes the sides named in Streams, or the
//	                                  terminal's master
//	                      ◀──   Response{}
//	attach ID [pipes]     ──▶         output from now on is also written to the
//	                                  pipes, named in Streams
//	                      ◀──   Response{} [stdin write end or terminal master]
//	hold NAME [fd]        ──▶         keeps fd under NAME, replacing another
//	                      ◀──   Response{}
//	take                  ──▶         duplicates of everything held, and what is
//	                                  known of containers
//	                      ◀──   Response{Names, Known} [fds], several packets when
//	                                  there are many; the last one has More unset
//	release NAME          ──▶
//	forget ID             ──▶         drops everything known of the container
//	wake                  ──▶         registers this connection
//	                      ◀──   Response{}
//	                      ◀──   Response{Exits, Dropped} after exits and whenever
//	                                  the shim let go of something on its own
//	stop                  ──▶         no controller restart; exits once no child lives
//
// In a take the descriptors of containers are named KIND/ID: pidfd, stdin,
// stdout, stderr, tty. Held names may be anything else.
const Version = 1

// Hopeless is how many Failures in a row mean that the controller cannot start.
const Hopeless = 3

// APIName is the held name of the listening socket DIR/api.sock.
const APIName = "api"

// Op is a request's verb.
type Op string

const (
	OpHello   Op = "hello"
	OpAdopt   Op = "adopt"
	OpStdio   Op = "stdio"
	OpAttach  Op = "attach"
	OpHold    Op = "hold"
	OpTake    Op = "take"
	OpRelease Op = "release"
	OpForget  Op = "forget" // drops everything known of a container ID
	OpWake    Op = "wake"
	OpStop    Op = "stop"
)

// Request is one message to the shim.
type Request struct {
	Op        Op
	ID        string `json:",omitempty"` // container
	Name      string `json:",omitempty"` // held descriptor
	Pid       int    `json:",omitempty"`
	StartTime uint64 `json:",omitempty"` // 0: not known, the pid was just made
	// Exit is the path the exit record is written to (atomic rename).
	Exit string `json:",omitempty"`
	// Log, MaxSize (bytes) and MaxFiles configure the log writer; Terminal says the one
	// descriptor is a terminal's master. An empty Log discards output.
	Log      string `json:",omitempty"`
	MaxSize  int64  `json:",omitempty"`
	MaxFiles int    `json:",omitempty"`
	Terminal bool   `json:",omitempty"`
	// Streams names the descriptors alongside, in order: stdin, stdout, stderr.
	// A terminal's output is stdout.
	Streams []string `json:",omitempty"`
	// StdinOnce ends the container's input when the first client that attached
	// with Stdin closes it.
	StdinOnce bool `json:",omitempty"`
	// Stdin asks for the input side in an attach.
	Stdin bool `json:",omitempty"`
	// Lossy lets the shim drop an attached client that takes nothing for
	// lossyPatience rather than hold up the container.
	Lossy bool `json:",omitempty"`
	// Gen tells one use of an ID from the next in Dropped; the client's choice.
	Gen uint64 `json:",omitempty"`
}

// Response answers a request. A non-empty Error is the only failure signal.
type Response struct {
	Error    string `json:",omitempty"`
	NotFound bool   `json:",omitempty"` // the error is runtime.ErrNotFound
	Version  int    `json:",omitempty"`
	Pid      int    `json:",omitempty"`
	Stopping bool   `json:",omitempty"` // stop was received
	// Failures counts how often in a row the controller gave up soon after its
	// start; from Hopeless on nobody need wait for it.
	Failures int       `json:",omitempty"`
	Names    []string  `json:",omitempty"`
	Known    []Request `json:",omitempty"` // adopt and stdio requests in force
	More     bool      `json:",omitempty"`
	Exits    uint64    `json:",omitempty"` // adopted containers that ended so far
	Dropped  []Drop    `json:",omitempty"`
}

// Drop names a descriptor, as take does, that the shim let go: an exited
// process's, an ended stream's, a stdin passed on for good.
type Drop struct {
	Name string
	Gen  uint64 `json:",omitempty"`
}

// ExitRecord is the file written when a container's first process ends.
// Version 1; its path is Request.Exit.
type ExitRecord struct {
	Version   int
	ID        string
	Pid       int
	StartTime uint64 `json:",omitempty"`
	runtime.Exit
}

// Info is the file DIR/shim.json. Version is that of the protocol.
type Info struct {
	Version   int
	Pid       int
	StartTime uint64
}

// Package scheduler keeps what a stack file declares true. It is the only
// package that knows spec, runtime and netns at once.
//
// Data passes one way, and back by observation:
//
//	Command (API) ─▶ Wish ─┐
//	                       ├─▶ Reconcile (pure) ─▶ Plan ─▶ execute ─▶ runtime, netns, image
//	world ─▶ Observed ─────┘                                            │
//	  ▲                                                                 │
//	  └── exit records, probe results, op results ── wake ◀─────────────┘
//
// There is one loop and it is level-triggered: an event only wakes it. Each turn
// observes, plans anew and starts the operations that wait for nothing; when one
// ends, the loop wakes again. So an operation is released only when the world
// shows that what it needs is there, never because somebody said so, and a crash
// between any two operations needs no recovery code.
//
// A replica (Instance) moves so; methods of Instance are the events:
//
//	            Create             Start                Exited(policy says again)
//	(nothing) ────────▶ created ─────────▶ running ───────────────────▶ restarting
//	                       ▲  │ StartFailed  │  ▲ ▲                         │ Start
//	                       └──┘              │  │ └─────────────────────────┘
//	                              StopAsked  │  │ Unpaused ▲ Paused
//	                                         ▼  └──────── paused
//	                                     stopping ── Exited ──▶ exited ── Start ──▶ running
//
// Files: wish.go observed.go plan.go reconcile.go instance.go graph.go restart.go
// probe.go rollout*.go restore.go foresee.go translate*.go compute; controller.go execute*.go health.go store.go
// event.go revision*.go rollback.go act. scheduler/api carries commands and events over a unix socket.
package scheduler

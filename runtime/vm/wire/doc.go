// Package wire is what a virtual machine's host and guest say to each other over
// one byte stream (a virtio-serial port), and what a process on the host says to
// the monitor of a machine over its control socket: the same frames.
//
// It imports runtime, for types, and nothing costly: both ends are modes of the lean
// binary.
//
// A frame is ten bytes and a payload of at most MaxPayload:
//
//	kind (1) · channel (1) · stream (4, big endian) · length (4) · payload
//
//	kind     channel   payload
//	open     0         JSON Request: the stream begins
//	message  0         JSON Message, in either direction
//	data     1 to 3    bytes of standard input, output, error output
//	eof      1 to 3    none: no more data on this channel
//	ack      1 to 3    4 bytes: so many bytes of data were consumed
//	close    0         none: the stream is over; nothing follows on it
//
// Streams that the host opens have odd numbers, the guest's even ones. A sender has
// at most Window bytes per stream and channel under way that were not acknowledged,
// so a slow reader holds up nobody else, and whoever keeps to it bounds what the
// other must buffer. A peer that does not is cut off: the guest is not trusted.
package wire

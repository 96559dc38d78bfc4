package stub

import (
	"encoding/binary"
	"fmt"
	"syscall"
)

// Arg is an argument of a step: Int, Addr or Slot.
type Arg interface {
	arg() (value uint64, load bool)
}

// Int is a constant.
type Int int64

func (v Int) arg() (uint64, bool) { return uint64(v), false }

// Addr is the address of data inside the stub.
type Addr uint64

func (a Addr) arg() (uint64, bool) { return uint64(a), false }

// Slot is a 64-bit variable inside the stub; as an argument, its value when the
// step runs. Any 8 bytes of data can serve as one: Slot(addr).
type Slot Addr

func (v Slot) arg() (uint64, bool) { return uint64(v), true }

// Label names a step to go to. The zero Label is the next step.
type Label int

// Script is a program for the stub. The zero value is empty and ready to use.
type Script struct {
	data   []byte // behind the header
	steps  []*step
	room   []step // for further steps
	labels []int  // index of the step, -1 while not placed; labels[0] is unused
	slots  int
}

type step struct {
	do     string
	op     uint64
	nr     uintptr
	args   []Arg
	result Addr
	allow  uint64
	others Label // where an allowed errno or a true comparison leads
	exit   int
}

// Bytes puts b into the stub's data, aligned to 8 bytes.
func (s *Script) Bytes(b []byte) Addr {
	if s.data == nil {
		s.data = make([]byte, 0, usualData)
	}
	a := Addr(dataBase + headerSize + len(s.data))
	s.data = append(s.data, b...)
	s.data = append(s.data, make([]byte, -len(s.data)&7)...)
	return a
}

// String puts a zero-terminated string into the data.
func (s *Script) String(v string) Addr { return s.Bytes(append([]byte(v), 0)) }

// Words puts 64-bit words into the data.
func (s *Script) Words(words ...uint64) Addr {
	b := make([]byte, 0, 8*len(words))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return s.Bytes(b)
}

// Strings puts a vector as execve(2) takes it into the data.
func (s *Script) Strings(v []string) Addr {
	words := make([]uint64, 0, len(v)+1)
	for _, one := range v {
		words = append(words, uint64(s.String(one)))
	}
	return s.Words(append(words, 0)...)
}

// Slot makes a variable that is zero at first.
func (s *Script) Slot() Slot {
	if s.slots == maxSlots {
		panic("stub: too many slots")
	}
	s.slots++
	return Slot(dataBase + headerSlots + 8*(s.slots-1))
}

// Label makes a label for Place.
func (s *Script) Label() Label {
	if len(s.labels) == 0 {
		s.labels = append(s.labels, 0)
	}
	s.labels = append(s.labels, -1)
	return Label(len(s.labels) - 1)
}

// Place makes l the next step that is added.
func (s *Script) Place(l Label) { s.labels[l] = len(s.steps) }

// Here is a label of the next step that is added.
func (s *Script) Here() Label {
	l := s.Label()
	s.Place(l)
	return l
}

// Call is a system call under construction.
type Call struct{ s *step }

// Call adds a system call; do says what it does, as a verb phrase.
func (s *Script) Call(do string, nr uintptr, args ...Arg) Call {
	return Call{s.add(step{do: do, op: opCall, nr: nr, args: args, exit: 1})}
}

// usualSteps and usualData are what the script of a container takes.
const (
	usualSteps = 256
	usualData  = 8 << 10
)

func (s *Script) add(st step) *step {
	if len(s.room) == cap(s.room) {
		s.room = make([]step, 0, usualSteps/2)
	}
	if s.steps == nil {
		s.steps = make([]*step, 0, usualSteps)
	}
	s.room = append(s.room, st)
	added := &s.room[len(s.room)-1]
	s.steps = append(s.steps, added)
	return added
}

// Into stores the result, an errno as its negative.
func (c Call) Into(v Slot) Call { c.s.result = Addr(v); return c }

// Allow lets the script go on after these errnos; at most four.
func (c Call) Allow(errnos ...syscall.Errno) Call {
	for _, e := range errnos {
		if c.s.allow>>48 != 0 {
			panic("stub: more than four allowed errnos")
		}
		c.s.allow = c.s.allow<<16 | uint64(e)
	}
	return c
}

// AllowAny lets the script go on after every errno.
func (c Call) AllowAny() Call { c.s.allow = anyErrno; return c }

// Else says where an allowed errno leads.
func (c Call) Else(l Label) Call { c.s.others = l; return c }

// Exit is the status the stub exits with when the step fails; 1 if not set.
func (c Call) Exit(status int) Call { c.s.exit = status; return c }

// Compute does dst = ((v >> shift) & mask) + add; dst may be zero for none.
func (s *Script) Compute(dst Slot, v Arg, shift uint, mask uint64, add Arg) {
	s.compute(dst, v, shift, mask, add, Int(0), 0)
}

// Set does dst = v.
func (s *Script) Set(dst Slot, v Arg) { s.Compute(dst, v, 0, ^uint64(0), Int(0)) }

// If goes to l when v equals w.
func (s *Script) If(v, w Arg, l Label) { s.IfBits(v, 0, ^uint64(0), w, l) }

// IfBits goes to l when (v >> shift) & mask equals w.
func (s *Script) IfBits(v Arg, shift uint, mask uint64, w Arg, l Label) {
	s.compute(0, v, shift, mask, Int(0), w, l)
}

// Jump goes to l.
func (s *Script) Jump(l Label) { s.If(Int(0), Int(0), l) }

func (s *Script) compute(dst Slot, v Arg, shift uint, mask uint64, add, w Arg, l Label) {
	s.add(step{
		op:     opCompute,
		args:   []Arg{v, Int(shift), Int(int64(mask)), add, w},
		result: Addr(dst), others: l,
	})
}

// Fail ends the script as if the call described by do had returned -errno, and
// exits with status.
func (s *Script) Fail(do string, errno Arg, status int) {
	s.add(step{do: do, op: opFail, args: []Arg{errno}, exit: status})
}

// ReportTo makes failures go to the descriptor fd from here on.
func (s *Script) ReportTo(fd Arg) { s.Set(Slot(dataBase+headerReport), fd) }

// ELF assembles the executable and the table that explains its failures. It
// fails for a script that jumps to a label never placed or runs off its end.
func (s *Script) ELF() ([]byte, Table, error) {
	if len(s.steps) == 0 {
		return nil, nil, fmt.Errorf("cannot assemble a script without steps")
	}
	// Running off the end must not interpret whatever follows.
	s.Fail("end the script", Int(-int64(syscall.ENOEXEC)), 1)
	file := make([]byte, dataOffset+headerSize, dataOffset+headerSize+len(s.data)+stepSize*len(s.steps))
	data := append(file[dataOffset:], s.data...)
	base := uint64(dataBase + len(data))
	binary.LittleEndian.PutUint64(data[headerFirst:], base)
	binary.LittleEndian.PutUint64(data[headerReport:], ^uint64(0))
	var table Table
	for i, st := range s.steps {
		addr := base + uint64(i)*stepSize
		words, err := s.encode(st, i, base)
		if err != nil {
			return nil, nil, err
		}
		for _, w := range words {
			data = binary.LittleEndian.AppendUint64(data, w)
		}
		table = table.add(addr, st.do)
	}
	file = file[:dataOffset+len(data)]
	head(file)
	return file, table, nil
}

// encode lays out step i of a script whose first step is at base.
func (s *Script) encode(st *step, i int, base uint64) ([stepWords]uint64, error) {
	var w [stepWords]uint64
	w[wordOp], w[wordNr] = st.op, uint64(st.nr)
	for n, a := range st.args {
		value, load := a.arg()
		w[wordArgs+n] = value
		if load {
			w[wordLoad] |= 1 << n
		}
	}
	w[wordResult] = uint64(st.result)
	if st.result == 0 {
		w[wordResult] = dataBase + headerDiscard
	}
	w[wordAllow], w[wordExit] = st.allow, uint64(st.exit)
	target := i + 1
	if st.others != 0 {
		target = s.labels[st.others]
		if target < 0 {
			return w, fmt.Errorf("cannot assemble step %q: its label was never placed", st.do)
		}
	}
	w[wordElse] = base + uint64(target)*stepSize
	return w, nil
}

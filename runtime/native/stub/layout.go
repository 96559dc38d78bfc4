package stub

// Where things are. code_*.s repeats dataBase and the offsets below.
const (
	codeBase   = 0x00400000
	codeOffset = 0x100 // of the code in the file: after the ELF and program headers
	dataOffset = 0x1000
	// dataBase is congruent to dataOffset for every page size up to 64 KiB.
	dataBase = 0x10000000 + dataOffset
)

// The header at dataBase, in bytes.
const (
	headerFirst   = 0  // address of the first step
	headerReport  = 8  // descriptor that failures are written to
	headerFailure = 16 // failure record: step address, errno
	headerDiscard = 32 // results nobody wants
	headerSlots   = 40 // maxSlots words
	maxSlots      = 64
	headerSize    = headerSlots + 8*maxSlots
)

// A step, in words of 8 bytes.
const (
	wordOp     = 0  // opCall, opCompute, opFail
	wordLoad   = 1  // bit i: args[i] is the address of the value
	wordNr     = 2  // system call number
	wordArgs   = 3  // six of them
	wordResult = 9  // address the result is stored at
	wordAllow  = 10 // up to four errnos of 16 bits, 0 ends, 0xffff is any
	wordElse   = 11 // next step after an allowed errno or a comparison that holds
	wordExit   = 12 // exit status when the step fails
	stepWords  = 13
	stepSize   = 8 * stepWords
)

const (
	opCall    = 0 // result = syscall(nr, args...)
	opCompute = 1 // result = ((a0 >> a1) & a2) + a3; if result == a4 goto else
	opFail    = 2 // fail with errno -a0
)

// FailureSize is the length of a failure record on the failure descriptor.
const FailureSize = 16

const anyErrno = 0xffff

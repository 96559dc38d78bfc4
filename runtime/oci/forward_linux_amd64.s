#include "textflag.h"

// See forward_linux.go. The kernel calls us with the signal in DI and the address of
// restore as the return address; what we change, it restores.
TEXT ·onSignal(SB), NOSPLIT|NOFRAME, $0
	MOVL DI, SI
	LEAQ ·pending(SB), R9
	LEAQ (R9)(SI*4), R9
	MOVL $1, AX
	XCHGL AX, (R9) // first the mark, then the look: forward does it the other way round
	MOVL ·forwardTo(SB), DI
	TESTL DI, DI
	JLT  done
	XORL AX, AX
	XCHGL AX, (R9)
	TESTL AX, AX
	JEQ  done
	XORL DX, DX
	XORL R10, R10
	MOVL $424, AX // pidfd_send_signal
	SYSCALL

done:
	RET

TEXT ·restore(SB), NOSPLIT|NOFRAME, $0
	MOVL $15, AX // rt_sigreturn
	SYSCALL
	INT  $3

DATA ·onSignalPC(SB)/8, $·onSignal(SB)
GLOBL ·onSignalPC(SB), RODATA|NOPTR, $8
DATA ·restorePC(SB)/8, $·restore(SB)
GLOBL ·restorePC(SB), RODATA|NOPTR, $8

#include "textflag.h"

// See forward_linux.go. The kernel calls us with the signal in R0 and the address of
// restore in R30; what we change, it restores.
TEXT ·onSignal(SB), NOSPLIT|NOFRAME, $0
	MOVD $·pending(SB), R1
	ADD  R0<<2, R1
	MOVD $1, R2
	MOVW R2, (R1)
	DMB  $0xb // first the mark, then the look: forward does it the other way round
	MOVD $·forwardTo(SB), R3
	MOVW (R3), R3
	CMPW $0, R3
	BLT  done

again:
	LDAXRW (R1), R4
	STLXRW ZR, (R1), R5
	CBNZ   R5, again
	CBZ    R4, done
	MOVD   R0, R1
	MOVD   R3, R0
	MOVD   $0, R2
	MOVD   $0, R3
	MOVD   $424, R8 // pidfd_send_signal
	SVC

done:
	RET

TEXT ·restore(SB), NOSPLIT|NOFRAME, $0
	MOVD $139, R8 // rt_sigreturn
	SVC
	BRK

DATA ·onSignalPC(SB)/8, $·onSignal(SB)
GLOBL ·onSignalPC(SB), RODATA|NOPTR, $8
DATA ·restorePC(SB)/8, $·restore(SB)
GLOBL ·restorePC(SB), RODATA|NOPTR, $8

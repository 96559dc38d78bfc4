#include "textflag.h"

// See entry.go. The kernel starts us with argc at 0(SP), argv from 8(SP), and behind
// its zero the environment.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	MOVQ 0(SP), DI
	CMPQ DI, $2
	JLT  start
	MOVQ 16(SP), SI
	MOVL 0(SI), AX
	CMPL AX, $0x0069636f // "oci", zero
	JNE  start

	MOVQ SP, R12
	SUBQ $8192, SP
	MOVQ $89, AX // readlink
	LEAQ ·selfLink(SB), DI
	MOVQ SP, SI
	MOVQ $4000, DX
	SYSCALL
	CMPQ AX, $0
	JLE  back
	ADDQ AX, SI

slash:
	DECQ SI
	CMPQ SI, SP
	JLS  back
	CMPB 0(SI), $0x2f
	JNE  slash
	MOVQ $0x68732d6b63617473, AX // "stack-sh"
	MOVQ AX, 1(SI)
	MOVL $0x00006d69, 9(SI)      // "im", zero

	MOVQ $59, AX // execve
	MOVQ SP, DI
	LEAQ 8(R12), SI
	MOVQ 0(R12), DX
	LEAQ 16(R12)(DX*8), DX
	SYSCALL

back: // main says what is wrong
	MOVQ R12, SP

start:
	JMP _rt0_amd64_linux(SB)

DATA ·selfLink+0(SB)/8, $"/proc/se"
DATA ·selfLink+8(SB)/8, $"lf/exe\x00\x00"
GLOBL ·selfLink(SB), RODATA, $16

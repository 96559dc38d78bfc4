#include "textflag.h"

// The interpreter. See layout.go for the words. It is copied, so: relative jumps
// only, no stack, no symbol. R15 header, BX the step.

TEXT ·code(SB),NOSPLIT|NOFRAME,$0
	MOVL	$0x10001000, R15
	MOVQ	0(R15), BX
step:
	MOVQ	24(BX), DI
	MOVQ	32(BX), SI
	MOVQ	40(BX), DX
	MOVQ	48(BX), R10
	MOVQ	56(BX), R8
	MOVQ	64(BX), R9
	MOVQ	8(BX), AX
	TESTQ	$1, AX
	JEQ	load1
	MOVQ	(DI), DI
load1:
	TESTQ	$2, AX
	JEQ	load2
	MOVQ	(SI), SI
load2:
	TESTQ	$4, AX
	JEQ	load3
	MOVQ	(DX), DX
load3:
	TESTQ	$8, AX
	JEQ	load4
	MOVQ	(R10), R10
load4:
	TESTQ	$16, AX
	JEQ	load5
	MOVQ	(R8), R8
load5:
	TESTQ	$32, AX
	JEQ	dispatch
	MOVQ	(R9), R9
dispatch:
	MOVQ	0(BX), CX
	CMPQ	CX, $1
	JEQ	compute
	JHI	failop
	MOVQ	16(BX), AX
	SYSCALL
	MOVQ	72(BX), CX
	MOVQ	AX, (CX)
	CMPQ	AX, $-4095
	JCC	error
next:
	ADDQ	$104, BX
	JMP	step
error:
	NEGQ	AX
	MOVQ	80(BX), CX
allow:
	MOVWLZX	CX, DX
	TESTL	DX, DX
	JEQ	fail
	CMPL	DX, AX
	JEQ	else
	CMPL	DX, $0xffff
	JEQ	else
	SHRQ	$16, CX
	JMP	allow
else:
	MOVQ	88(BX), BX
	JMP	step
compute:
	MOVQ	SI, CX
	SHRQ	CX, DI
	ANDQ	DX, DI
	ADDQ	R10, DI
	MOVQ	72(BX), CX
	MOVQ	DI, (CX)
	CMPQ	DI, R8
	JEQ	else
	JMP	next
failop:
	MOVQ	DI, AX
	NEGQ	AX
fail:
	MOVQ	BX, 16(R15)
	MOVQ	AX, 24(R15)
	MOVQ	8(R15), DI
	LEAQ	16(R15), SI
	MOVL	$16, DX
	MOVL	$1, AX // write
	SYSCALL
	MOVQ	96(BX), DI
	MOVL	$231, AX // exit_group
	SYSCALL
	UNDEF
	LONG	$0x62757473 // endMark
	LONG	$0x646e652d
	LONG	$0xa5c35a3c
	LONG	$0x3c5aa5c3

// func codeStart() unsafe.Pointer
TEXT ·codeStart(SB),NOSPLIT,$0-8
	LEAQ	·code(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

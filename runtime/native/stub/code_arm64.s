#include "textflag.h"

// The interpreter. See layout.go for the words. It is copied, so: relative jumps
// only, no stack, no symbol, no literal pool. R19 header, R20 the step.

TEXT ·code(SB),NOSPLIT|NOFRAME,$0
	MOVZ	$0x1000, R19
	MOVK	$(0x1000<<16), R19
	MOVD	0(R19), R20
step:
	MOVD	24(R20), R0
	MOVD	32(R20), R1
	MOVD	40(R20), R2
	MOVD	48(R20), R3
	MOVD	56(R20), R4
	MOVD	64(R20), R5
	MOVD	8(R20), R9
	TBZ	$0, R9, load1
	MOVD	(R0), R0
load1:
	TBZ	$1, R9, load2
	MOVD	(R1), R1
load2:
	TBZ	$2, R9, load3
	MOVD	(R2), R2
load3:
	TBZ	$3, R9, load4
	MOVD	(R3), R3
load4:
	TBZ	$4, R9, load5
	MOVD	(R4), R4
load5:
	TBZ	$5, R9, dispatch
	MOVD	(R5), R5
dispatch:
	MOVD	0(R20), R10
	CMP	$1, R10
	BEQ	compute
	BHI	failop
	MOVD	16(R20), R8
	SVC
	MOVD	72(R20), R10
	MOVD	R0, (R10)
	CMN	$4095, R0
	BHS	error
next:
	ADD	$104, R20
	B	step
error:
	NEG	R0, R0
	MOVD	80(R20), R10
allow:
	AND	$0xffff, R10, R11
	CBZ	R11, fail
	CMP	R11, R0
	BEQ	else
	MOVZ	$0xffff, R12
	CMP	R12, R11
	BEQ	else
	LSR	$16, R10, R10
	B	allow
else:
	MOVD	88(R20), R20
	B	step
compute:
	LSR	R1, R0, R0
	AND	R2, R0, R0
	ADD	R3, R0, R0
	MOVD	72(R20), R10
	MOVD	R0, (R10)
	CMP	R4, R0
	BEQ	else
	B	next
failop:
	NEG	R0, R0
fail:
	MOVD	R20, 16(R19)
	MOVD	R0, 24(R19)
	MOVD	8(R19), R0
	ADD	$16, R19, R1
	MOVD	$16, R2
	MOVD	$64, R8 // write
	SVC
	MOVD	96(R20), R0
	MOVD	$94, R8 // exit_group
	SVC
	UNDEF
	WORD	$0x62757473 // endMark
	WORD	$0x646e652d
	WORD	$0xa5c35a3c
	WORD	$0x3c5aa5c3

// func codeStart() unsafe.Pointer
TEXT ·codeStart(SB),NOSPLIT,$0-8
	MOVD	$·code(SB), R0
	MOVD	R0, ret+0(FP)
	RET

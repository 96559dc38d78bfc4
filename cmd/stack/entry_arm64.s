#include "textflag.h"

// See entry.go. The kernel starts us with argc at 0(RSP), argv from 8(RSP), and
// behind its zero the environment.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	MOVD  0(RSP), R0
	CMP   $2, R0
	BLT   start
	MOVD  16(RSP), R1
	MOVWU 0(R1), R2
	MOVD  $0x0069636f, R3 // "oci", zero
	CMP   R3, R2
	BNE   start

	MOVD RSP, R19
	SUB  $8192, RSP, R20
	MOVD R20, RSP
	MOVD $-100, R0 // AT_FDCWD
	MOVD $·selfLink(SB), R1
	MOVD R20, R2
	MOVD $4000, R3
	MOVD $78, R8 // readlinkat
	SVC
	CMP  $0, R0
	BLE  back
	ADD  R0, R20, R5

slash:
	SUB   $1, R5
	CMP   R20, R5
	BLS   back
	MOVBU 0(R5), R6
	CMP   $0x2f, R6
	BNE   slash
	MOVD  $·shimName(SB), R7
	MOVD  0(R7), R6
	MOVD  R6, 1(R5)
	MOVWU 8(R7), R6
	MOVW  R6, 9(R5)

	MOVD R20, R0
	ADD  $8, R19, R1
	MOVD 0(R19), R2
	LSL  $3, R2
	ADD  R19, R2
	ADD  $16, R2
	MOVD $221, R8 // execve
	SVC

back: // main says what is wrong
	MOVD R19, RSP

start:
	B _rt0_arm64_linux(SB)

DATA ·selfLink+0(SB)/8, $"/proc/se"
DATA ·selfLink+8(SB)/8, $"lf/exe\x00\x00"
GLOBL ·selfLink(SB), RODATA, $16

DATA ·shimName+0(SB)/8, $"stack-sh"
DATA ·shimName+8(SB)/8, $"im\x00\x00\x00\x00\x00\x00"
GLOBL ·shimName(SB), RODATA, $16

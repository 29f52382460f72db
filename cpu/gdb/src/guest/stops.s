.syntax unified
.thumb
.word 0x20001000, start+1, 0, fault+1
.org 0x40
.thumb_func
start: ldr r0,=0x20000100
 movs r1,#0
loop: adds r1,#1
 str r1,[r0]
 cmp r1,#5
 bne loop
 ldr r2,[r0]
 ldr r3,=0x22002000
 movs r4,#0
 str r4,[r3]
 udf #0
.thumb_func
fault: movs r0,#0x20
 ldr r1,=block
 bkpt 0xab
 b .
.align 2
block: .word 0x20026, 42

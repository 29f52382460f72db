.syntax unified
.thumb
.word 0x20001000, start+1, 0, start+1
.org 0x40
.thumb_func
start: ldr r3,=0x40004000
 movs r0,#16
 str r0,[r3,#16]
 movs r0,#3
 str r0,[r3,#8]
 movs r1,#0
 movs r2,#0
loop: adds r1,#1
 ldr r0,[r3,#4]
 lsls r0,r0,#30
 bpl loop
 ldr r0,[r3]
 str r0,[r3]
 lsls r2,r2,#5
 eors r2,r1
 add r2,r0
 b loop

@ The guest side of one differential run, the same on both implementations. It lives in handler mode: the host fills INPUT, CODE and
@ SCRATCH and goes on at `start`, which enters the stream by an exception return; whatever ends the stream (the UDF behind its last
@ instruction, or a fault of its own) comes to `collect`, which writes down what only code can see and stops at `done`.
@ SVC goes to code that belongs to the stream. What the host needs stands at fixed addresses: start 0x100, done 0x200 (src/layout.rs).
    .syntax unified
    .cpu cortex-m3
    .thumb

    .equ INPUT,   0x20000000
    .equ HANDLER, 0x200002a0
    .equ RESULT,  0x20000700
    .equ STACK,   0x20000800
    .equ SHCSR,   0xe000ed24

    .word STACK
    .word reset + 1
    .rept 9
    .word collect + 1
    .endr
    .word HANDLER + 1
    .rept 36
    .word collect + 1
    .endr

    .org 0x100
start:
    ldr r0, =INPUT
    ldr r12, =SHCSR
    ldmia r0!, {r1-r8}
    @ Of all fault and SVC exceptions that the last stream left pending or active, only the running one stays active.
    mrs r10, ipsr
    mov r9, r1
    cmp r10, #4
    it eq
    orreq r9, #1                        @ MEMFAULTACT
    cmp r10, #5
    it eq
    orreq r9, #2                        @ BUSFAULTACT
    cmp r10, #6
    it eq
    orreq r9, #8                        @ USGFAULTACT
    str r9, [r12]                       @ enables of MemManage, BusFault and UsageFault
    str r2, [r12, #-16]                 @ CCR
    msr msp, r3
    msr psp, r4
    msr control, r5
    msr basepri, r7
    msr primask, r6
    mov lr, r8
    ldmia r0, {r4-r11}
    dsb
    isb
    bx lr
    .ltorg

    .org 0x188
reset:
    udf #0

    .org 0x190
collect:
    ldr r0, =RESULT
    stmia r0!, {r4-r11}
    mrs r1, ipsr
    mrs r2, msp
    mrs r3, psp
    mrs r4, primask
    mrs r5, basepri
    mrs r6, faultmask
    mrs r7, control
    stmia r0!, {r1-r7, lr}
    ldr r12, =SHCSR
    ldr r1, [r12]
    ldr r2, [r12, #4]                   @ CFSR
    ldr r3, [r12, #8]                   @ HFSR
    ldr r4, [r12, #16]                  @ MMFAR
    ldr r5, [r12, #20]                  @ BFAR
    ldr r6, [r12, #-32]                 @ ICSR
    stmia r0!, {r1-r6}
    str r2, [r12, #4]
    str r3, [r12, #8]
    movs r1, #0
    msr primask, r1
    msr basepri, r1
    ldr r1, =STACK
    msr msp, r1
    b done
    .ltorg

    .org 0x200
done:
    b done
    .org 0x204

@ Handlers for programs that may do anything: faults begin anew somewhere in the program, interrupts are counted.
        .syntax unified
        .thumb
        .equ    CODE, 0x20001000
        .equ    FRAME, 0x20003800 - 32
        .equ    COUNT, 0x20003ff0

restart:
        cpsie   if
        ldr     r0, =COUNT
        ldr     r1, [r0]
        adds    r1, #6
        str     r1, [r0]
        tst     r1, #8
        ite     ne
        movne   r4, #0
        moveq   r4, #1
        msr     control, r4
        and     r1, r1, #0xfe
        ldr     r2, =CODE
        add     r1, r1, r2
        ldr     sp, =FRAME
        str     r1, [sp, #24]
        mov     r1, #0x01000000
        str     r1, [sp, #28]
        adds    r2, #1
        str     r2, [sp, #20]
        ldr     r8, =0x20000400
        ldr     r9, =0x20000680
        ldr     r10, =CODE + 0x40
        ldr     r11, =0x20000801
        mvn     lr, #6
        bx      lr
        .ltorg

        .org    0x80
count:
        ldr     r0, =COUNT + 8
        ldrd    r2, r3, [r0]
        adds    r2, #1
        adc     r3, #0
        strd    r2, r3, [r0]
        push    {r4, lr}
        pop     {r4, pc}
        .ltorg

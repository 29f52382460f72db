@ Work with interrupts at many places, so that a cut anywhere would show: SysTick, a device line, IT blocks, multiple transfers.
    .include "common.inc"
    vectors systick=systick, irq0=irq0, pendsv=pendsv
handler start
    set 0x100, 1
    set 0x400, 0x40
    set 0xd20, 0x80ff0000
    set 0x014, 36
    set 0x018, 0
    set 0x010, 7
    ldr r7, =0x20000800
    movs r4, #0
    movs r5, #1
    ldr r10, =200
1:  adds r4, r4, r5
    eor r5, r5, r4, ror #7
    tst r5, #1
    ittte ne
    addne r4, r4, #3
    strne r4, [r7, #4]
    ldrne r6, [r7, #4]
    moveq r6, #7
    stmia r7, {r4, r5, r6}
    bl sub
    ands r0, r5, #15
    bne 2f
    ldr r1, =TAP
    movs r0, #1
    str r0, [r1]                @ raises the line
    movs r0, #0
2:  subs r10, r10, #1
    bne 1b
    show r4
    show r5
    show r8
    mov r4, r9
    show r4
    set 0x010, 0
    done
    .thumb_func
sub:
    push {r4, r5, lr}
    ldmia r7, {r1, r2, r3}
    umull r4, r5, r1, r2
    adds r4, r4, r3
    str r4, [r7, #16]
    pop {r4, r5, pc}
handler systick
    add r8, r8, #1
    ldr r0, [r7, #16]
    eor r8, r8, r0
    ldr r0, =SCS + 0xd04
    ldr r1, =0x10000000
    str r1, [r0]
    bx lr
handler pendsv
    add r8, r8, #0x100
    bx lr
handler irq0
    push {r4, lr}
    ldr r0, =TAP
    movs r1, #0
    str r1, [r0]                @ lowers it
    add r9, r9, #1
    ldr r4, [r0]
    eor r9, r9, r4, lsl #8
    pop {r4, pc}
    .ltorg

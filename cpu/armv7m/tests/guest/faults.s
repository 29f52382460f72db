@ Every kind of fault, its status registers, and what is stacked.
    .include "common.inc"
    vectors hard=hard, mem=mem, bus=bus, usage=usage
handler start
    @ 1: without enables everything is a HardFault
    ldr r4, =0x30000000
    ldr r5, [r4]
    @ 2: with enables
    set 0xd24, 0x70000
    ldr r5, [r4, #4]            @ precise bus fault, BFAR
    str r5, [r4, #8]
    .hword 0xde00               @ UDF
    cdp p1, 0, c0, c0, c0       @ NOCP
    set 0xd14, 0x218            @ traps on
    ldr r6, =0x20000101
    ldr r5, [r6]                @ UNALIGNED
    movs r5, #0
    movs r6, #3
    udiv r6, r6, r5             @ DIVBYZERO
    set 0xd14, 0x200
    udiv r6, r6, r5             @ traps off: 0
    show r6
    ldr r6, =0x20000102
    ldrd r2, r3, [r6]           @ always UNALIGNED
    ldm r6, {r2, r3}
    ldrex r2, [r6]
    @ 3: fetches
    ldr r5, =0x30000001
    ldr r6, =1f + 1
    blx r5                      @ IBUSERR
1:  ldr r5, =0x40000001
    ldr r6, =1f + 1
    blx r5                      @ IACCVIOL: XN of the default map
1:  ldr r5, =1f                 @ T clear
    ldr r6, =1f + 1
    blx r5
1:  @ 4: inside IT the state is stacked
    movs r5, #1
    cmp r5, #1
    itete eq
    moveq r5, #2
    ldrne r5, [r4]
    ldreq r5, [r4]              @ faults; skipped by the handler
    movne r5, #9
    show r5
    @ 5: bit 28 and 29 set: peripherals without anything there
    movs r5, #0
    done
@ Handlers report CFSR, HFSR, the stacked PSR's IT and number, and skip the instruction (its size from its first halfword).
.macro report code
    say \code
    showscs 0xd28
    showscs 0xd2c
    showscs 0xd38
    set 0xd28, 0xffffffff
    set 0xd2c, 0xffffffff
    ldr r2, [sp, #28]
    ldr r3, =0x0600fc00
    ands r2, r2, r3
    show r2
    b resume
.endm
handler hard
    report 0xf3
handler mem
    report 0xf4
handler bus
    report 0xf5
handler usage
    report 0xf6
handler resume
    ldr r2, [sp, #24]
    ldr r3, =0x10000
    cmp r2, r3
    bhs 2f                      @ a fetch failed: go on at r6
    ldr r3, [sp, #28]
    tst r3, #0x01000000
    beq 2f
    ldrh r3, [r2]
    lsrs r3, r3, #11
    cmp r3, #0x1d
    ite hs
    addhs r2, r2, #4
    addlo r2, r2, #2
    str r2, [sp, #24]
    @ advance the stacked IT state by hand: the test's block is ITETE, the fault in its third
    ldr r2, [sp, #28]
    ldr r3, =0x0600fc00
    tst r2, r3
    beq 3f
    bics r2, r2, r3
    ldr r3, =0x00001800
    orrs r2, r2, r3
    str r2, [sp, #28]
3:  bx lr
2:  bic r2, r6, #1
    str r2, [sp, #24]
    ldr r2, [sp, #28]
    orr r2, r2, #0x01000000
    str r2, [sp, #28]
    bx lr
    .ltorg

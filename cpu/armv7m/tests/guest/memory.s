@ Bit-banding, MPU, exclusives, code that writes itself, stacking that faults.
    .include "common.inc"
    vectors hard=hard, mem=mem, bus=bus, svc=svc, irq0=irq0
handler start
    ldr r4, =0x20000200
    movs r5, #0
    str r5, [r4]
    ldr r6, =0x22000000 + 0x200 * 32
    movs r5, #1
    str r5, [r6, #12]           @ bit 3
    strb r5, [r6, #32]          @ bit 8
    ldr r2, [r4]
    show r2
    ldr r2, [r6, #12]
    show r2
    movs r5, #2
    str r5, [r6, #12]           @ bit 0 of the value counts
    ldr r2, [r4]
    show r2
    @ exclusives
    ldrex r2, [r4]
    adds r2, r2, #1
    strex r3, r2, [r4]
    show r3
    strex r3, r2, [r4]          @ none open
    show r3
    ldrexb r2, [r4]
    clrex
    strexb r3, r2, [r4]
    show r3
    ldrexh r2, [r4]
    svc 0                       @ an exception closes it
    strexh r3, r2, [r4]
    show r3
    @ code that changes itself
    ldr r4, =0x20000400
    ldr r5, =0x47702201         @ movs r2, #1; bx lr
    str r5, [r4]
    adds r6, r4, #1
    blx r6
    show r2
    ldr r5, =0x47702202
    str r5, [r4]
    blx r6
    show r2
    adds r5, r5, #1
    strb r5, [r4]
    blx r6
    show r2
    @ MPU: region 0 = all of flash, region 1 = RAM read only for all, region 2 = one subregion of it open
    set 0xd24, 0x70000
    set 0xd9c, 0x00000010
    set 0xda0, 0x06000023       @ 256 KiB, read only
    set 0xd9c, 0x20000011
    set 0xda0, 0x13000017       @ 4 KiB, full, no execute
    set 0xd9c, 0x20000412
    set 0xda0, 0x0600fd11       @ 512 bytes: only the second subregion: read only, execute
    set 0xd9c, 0x40000013
    set 0xda0, 0x13000009       @ 32 bytes of the tap
    set 0xd94, 1
    ldr r4, =0x20000440
    str r5, [r4, #-4]           @ fine
    ldr r2, [r4]                @ fine
    str r5, [r4]                @ refused: MMFAR 0x20000440
    say 0x500
    ldr r2, =0x20002000
    ldr r2, [r2]                @ refused: no region
    ldr r2, =0x4000001f
    ldrb r3, [r2]               @ fine (whatever is there): the bus refuses it
    ldr r6, =1f + 1
    ldr r2, =0x20000401
    blx r2                      @ refused: XN
1:  set 0xd94, 5                @ background map for the privileged
    ldr r2, =0x20002000
    ldr r2, [r2]
    set 0xd94, 0
    say 0x501
    @ stacking fails: BusFault comes first, then the interrupt tail-chains
    set 0xd18, 0x00000000
    set 0x400, 0x80
    set 0x100, 1
    mov r8, sp
    ldr r0, =0x30000000
    mov r4, #1
    ldr r5, =SCS + 0x200
    mov sp, r0
    str r4, [r5]
    nop
    b .
handler svc
    bx lr
handler irq0
    mov sp, r8
    say 0x600
    done
handler mem
    say 0xf4
    showscs 0xd28
    showscs 0xd34
    ldr r2, =SCS + 0xd28
    ldr r3, [r2]
    str r3, [r2]
    lsls r3, r3, #31
    bmi 1f
    ldr r2, [sp, #24]
    ldrh r3, [r2]
    adds r2, r2, #2
    str r2, [sp, #24]
    bx lr
1:  bic r2, r6, #1
    str r2, [sp, #24]
    bx lr
handler bus
    mov r9, sp
    ldr r2, =0x30000000
    cmp r9, r2
    bhs 1f
    mov r2, r9
    adds r2, r2, #32
    lsrs r2, r2, #28
    cmp r2, #2
    bhi 1f
    say 0xf5
    showscs 0xd28
    set 0xd28, 0xffffffff
    ldr r2, [sp, #24]
    adds r2, r2, #2
    str r2, [sp, #24]
    bx lr
1:  mov sp, r8
    say 0x1f5
    showscs 0xd28
    set 0xd28, 0xffffffff
    mov sp, r9
    bx lr                       @ tail-chains to the interrupt
handler hard
    mov sp, r8
    say 0xf3
    showscs 0xd28
    showscs 0xd2c
    done
    .ltorg

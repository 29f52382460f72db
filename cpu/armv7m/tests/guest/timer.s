@ SysTick, WFI, WFE, SEVONPEND, SLEEPONEXIT, DWT.
    .include "common.inc"
    vectors systick=systick, irq0=irq0
handler start
    set 0xdfc, 0x01000000
    ldr r0, =0xe0001000
    movs r1, #1
    str r1, [r0]
    ldr r2, [r0, #4]
    ldr r3, [r0, #4]
    subs r3, r3, r2
    show r3                     @ 1: one instruction apart
    set 0x014, 99
    set 0x018, 0
    set 0x010, 7
    movs r8, #0
1:  cmp r8, #3
    bne 1b
    showscs 0x010               @ COUNTFLAG reads once
    showscs 0x010
    wfi
    say 0x100
    set 0x010, 5                @ counter on, interrupt off
    @ WFE: the event register is set by what came before, so the first one falls through
    wfe
    say 0x101
    sev
    wfe
    say 0x102
    @ SEVONPEND: a disabled interrupt wakes
    set 0xd10, 0x10
    set 0x200, 1
    wfe
    say 0x103
    set 0x280, 1
    @ SLEEPONEXIT: after the handler the thread sleeps on until the flag is cleared in it
    set 0xd10, 2
    set 0x100, 1
    set 0x010, 7
    movs r8, #0
    wfi
    say 0x104
    set 0x010, 0
    done
handler systick
    adds r8, r8, #1
    say 0x200
    cmp r8, #5
    bne 1f
    set 0xd10, 0
1:  bx lr
handler irq0
    say 0x300
    bx lr
    .ltorg

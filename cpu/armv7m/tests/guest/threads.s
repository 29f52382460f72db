@ PSP, unprivileged thread mode, SVC, stack alignment, EXC_RETURN checks.
    .include "common.inc"
    vectors hard=hard, usage=usage, svc=svc, bus=bus
handler start
    ldr r0, =0x20000804         @ not a multiple of 8
    msr psp, r0
    movs r0, #3
    msr control, r0             @ unprivileged, PSP
    mov r4, sp
    show r4
    movs r0, #0x11
    movs r1, #0x22
    svc 1
    mov r4, sp
    show r4                     @ as before
    mov r4, r0
    show r4                     @ changed through the frame
    movs r0, #0
    msr control, r0             @ no effect: unprivileged
    cpsid i                     @ neither
    mrs r4, control
    show r4
    svc 2                       @ makes thread mode privileged
    mrs r4, primask
    show r4
    mrs r4, control
    show r4
    @ a bus fault: unprivileged access to the SCS
    set 0xd24, 0x70000
    movs r0, #3
    msr control, r0
    ldr r6, =0xe000ed00
    ldr r6, [r6]
    svc 2
    @ a bad EXC_RETURN
    svc 3
    say 0x77
    done
handler svc
    mrs r2, psp
    ldr r3, [r2, #24]
    ldrb r3, [r3, #-2]
    show lr
    show r2
    show r3
    cmp r3, #2
    beq 2f
    cmp r3, #3
    beq 3f
    ldr r3, [r2, #28]
    show r3
    movs r3, #0x99
    str r3, [r2]
    bx lr
2:  movs r2, #0
    msr control, r2
    bx lr
3:  ldr r2, =0xfffffff3
    bx r2
handler bus
    say 0xf5
    showscs 0xd28
    showscs 0xd38
    set 0xd28, 0xffffffff
    mrs r2, psp
    ldr r3, [r2, #24]
    adds r3, r3, #2
    str r3, [r2, #24]
    bx lr
handler usage
    say 0xf6
    showscs 0xd28
    show lr
    set 0xd28, 0xffffffff
    ldr r2, =0xfffffffd         @ the frame is on the process stack
    bx r2
handler hard
    say 0xf3
    done
    .ltorg

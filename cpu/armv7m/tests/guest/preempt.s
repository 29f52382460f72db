@ Nesting by group priority, order by subpriority and number, tail-chaining, masks.
    .include "common.inc"
    vectors svc=svc, pendsv=pendsv, irq0=irq0, irq1=irq1, irq2=irq2, irq3=irq3
handler start
    set 0x100, 15               @ enable 0..3
    set 0x400, 0x40608080       @ priorities: 0x80, 0x80, 0x60, 0x40
    @ 1: two of equal priority: the lower number first, the other one tail-chains
    set 0x200, 3
    say 0x1001
    @ 2: a more urgent one preempts its own requester
    ldr r4, =0x20000100
    movs r5, #8
    str r5, [r4]
    set 0x200, 4
    say 0x1002
    @ 3: PRIGROUP 6: 0x40 and 0x60 are one group, so no preemption, but the order holds
    set 0xd0c, 0x05fa0600
    set 0x200, 4
    say 0x1003
    movs r5, #0
    str r5, [r4]
    cpsid i
    set 0x200, 12
    say 0x1004
    cpsie i
    say 0x1005
    set 0xd0c, 0x05fa0000
    @ 4: BASEPRI holds 0x80 and 0x60 back, lets 0x40 through
    movs r0, #0x60
    msr basepri, r0
    set 0x200, 13
    say 0x1006
    movs r0, #0x40
    msr basepri_max, r0
    movs r0, #0x80
    msr basepri_max, r0         @ no effect: would lower
    mrs r2, basepri
    show r2
    movs r0, #0
    msr basepri, r0
    say 0x1007
    @ 5: FAULTMASK holds all back, and an exception return clears it
    cpsid f
    set 0x200, 1
    say 0x1008
    cpsie f
    say 0x1009
    @ 6: PendSV and SVC
    set 0xd20, 0x00ff0000       @ PendSV lowest
    set 0xd04, 0x10000000
    svc 7
    say 0x100a
    done
handler irq0
    show lr
    mrs r2, ipsr
    show r2
    mov r2, sp
    show r2
    bx lr
handler irq1
    show lr
    mrs r2, ipsr
    show r2
    mov r2, sp
    show r2
    bx lr
handler irq2
    say 0x2000
    ldr r0, =SCS + 0x200
    ldr r1, =0x20000100
    ldr r1, [r1]
    str r1, [r0]
    showscs 0xd04
    say 0x2001
    bx lr
handler irq3
    say 0x3000
    showscs 0xd04
    bx lr
handler svc
    ldr r2, [sp, #24]
    ldrb r2, [r2, #-2]
    show r2
    set 0xd04, 0x10000000
    say 0x4000
    bx lr
handler pendsv
    say 0x5000
    bx lr
    .ltorg

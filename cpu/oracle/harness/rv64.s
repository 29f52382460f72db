# Runs cases of the RV64 comparison one after the other: the same program on both sides. The layout of a slot is that of
# src/rv64/layout.rs. M-mode only keeps the books: a case enters its own mode through MRET, every trap is written to the slot's log and
# stepped over, and at the end of the code all registers and CSRs are stored into the slot.

        .option norelax
        .option arch, rv64imafdc_zicsr_zifencei

        .equ    SLOT_BITS, 16
        # Pointers to a slot stand in the middle of its first page, within reach of all of it.
        .equ    MIDDLE, 0x800
        .equ    CSRS_IN, 0x200 - MIDDLE
        .equ    END_PC, 0x400 - MIDDLE
        .equ    FLAGS, 0x408 - MIDDLE
        .equ    CODE, 0x410 - MIDDLE
        .equ    SAVE_M, 0x440 - MIDDLE
        .equ    SAVE_S, 0x480 - MIDDLE
        .equ    LOGGED, 0x4c0 - MIDDLE
        .equ    LOG, 0x500 - MIDDLE
        .equ    LOG_MOST, 24
        .equ    RESULT_X, 0x900 - MIDDLE
        .equ    RESULT_F, 0xa00 - MIDDLE
        .equ    RESULT_CSR, 0xb00 - MIDDLE
        # FLAGS: reset the machine behind this case; the M-mode stub resumes in M-mode; S-mode escapes by an illegal instruction.
        .equ    RESET_AFTER, 1
        .equ    RESUME_M, 2
        .equ    ESCAPE_ILLEGAL, 4

        .text
        .globl _start
_start: j       next
        .balign 8
# Written by the host: slots to run, and the next of them; the slot that runs.
count:  .dword  0
progress: .dword 0
first:  .dword  0x80010000
current: .dword 0

next:   csrr    t0, mhartid
        bnez    t0, 1f
        li      t0, 0x2004000
        li      t1, -1
        sd      t1, 0(t0)
        la      t0, count
        ld      t1, 0(t0)
        ld      t2, 8(t0)
        bgeu    t2, t1, over
        slli    t2, t2, SLOT_BITS
        ld      t3, 16(t0)
        add     t6, t3, t2
        li      t1, MIDDLE
        add     t6, t6, t1
        sd      t6, 24(t0)
        la      t1, trap_m
        csrw    mtvec, t1
        la      t1, trap_s
        csrw    stvec, t1
        sfence.vma
        fence.i
        li      t1, 0x6000
        csrs    mstatus, t1
        ld      t1, -MIDDLE(t6)
        csrw    mepc, t1
        .set    at, CSRS_IN + 8
        .irp    r, menvcfg, medeleg, mideleg, mie, mcounteren, scounteren, senvcfg, mstateen0, sstateen0, satp, mscratch, sscratch, mcause, scause, sepc, mtval, stval, stimecmp, mip, mcountinhibit, pmpaddr0, pmpaddr1, pmpaddr2, pmpaddr3, pmpaddr4, pmpaddr5, pmpaddr6, pmpaddr7, pmpaddr8, pmpaddr9, pmpaddr10, pmpaddr11, pmpaddr12, pmpaddr13, pmpaddr14, pmpaddr15, pmpcfg0, pmpcfg2, fcsr
        ld      t1, at(t6)
        csrw    \r, t1
        .set    at, at + 8
        .endr
        .set    at, 0x100 - MIDDLE
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        fld     f\n, at(t6)
        .set    at, at + 8
        .endr
        ld      t1, CSRS_IN(t6)
        csrw    mstatus, t1
        .set    at, 8 - MIDDLE
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        ld      x\n, at(t6)
        .set    at, at + 8
        .endr
        mret

# A second hart, which QEMU needs before it executes AMOs as one access.
1:      wfi
        j       1b

over:   li      t0, 0x100000
        li      t1, 0x5555
        sw      t1, 0(t0)
1:      wfi
        j       1b

# One entry of the log: level, cause, PC, value, status. t0 is the slot, t1 and t2 are free, t3 counts.
        .macro  write_log, level, x
        ld      t3, LOGGED(t0)
        addi    t1, t3, 1
        sd      t1, LOGGED(t0)
        slli    t1, t3, 5
        slli    t2, t3, 3
        add     t1, t1, t2
        add     t1, t1, t0
        li      t2, \level
        sd      t2, LOG(t1)
        csrr    t2, \x\()cause
        sd      t2, LOG+8(t1)
        csrr    t2, \x\()epc
        sd      t2, LOG+16(t1)
        csrr    t2, \x\()tval
        sd      t2, LOG+24(t1)
        csrr    t2, \x\()status
        sd      t2, LOG+32(t1)
        .endm

        .macro  enter, x, save
        csrw    \x\()scratch, t0
        la      t0, current
        ld      t0, 0(t0)
        sd      t1, \save(t0)
        sd      t2, \save+8(t0)
        sd      t3, \save+16(t0)
        .endm

        .macro  leave, x, save
        ld      t1, \save(t0)
        ld      t2, \save+8(t0)
        ld      t3, \save+16(t0)
        csrr    t0, \x\()scratch
        .endm

        .balign 64
trap_m: enter   m, SAVE_M
        csrr    t2, mepc
        la      t1, escape
        sub     t1, t2, t1
        sltiu   t1, t1, 8
        bnez    t1, finish
        write_log 3, m
        csrr    t1, mcause
        bltz    t1, 5f
        csrr    t2, mepc
        ld      t3, CODE(t0)
        sub     t3, t2, t3
        srli    t3, t3, 12
        bnez    t3, 2f
        addi    t3, t1, -1
        beqz    t3, 2f
        addi    t3, t1, -12
        beqz    t3, 2f
        ld      t3, END_PC(t0)
        bgeu    t2, t3, finish
        lhu     t3, 0(t2)
        not     t3, t3
        andi    t3, t3, 3
        addi    t2, t2, 2
        bnez    t3, 3f
        addi    t2, t2, 2
        j       3f
2:      andi    t2, ra, -2
        ld      t3, FLAGS(t0)
        andi    t3, t3, RESUME_M
        beqz    t3, 3f
        li      t3, 0x1800
        csrs    mstatus, t3
3:      csrw    mepc, t2
4:      ld      t1, LOGGED(t0)
        li      t2, LOG_MOST
        bgeu    t1, t2, finish
        leave   m, SAVE_M
        mret
5:      csrw    mie, zero
        j       4b

finish: .set    at, RESULT_X + 8
        .irp    n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        sd      x\n, at(t0)
        .set    at, at + 8
        .endr
        csrr    t1, mscratch
        sd      t1, RESULT_X+8*5(t0)
        ld      t1, SAVE_M(t0)
        sd      t1, RESULT_X+8*6(t0)
        ld      t1, SAVE_M+8(t0)
        sd      t1, RESULT_X+8*7(t0)
        ld      t1, SAVE_M+16(t0)
        sd      t1, RESULT_X+8*28(t0)
        csrr    t1, mstatus
        sd      t1, RESULT_CSR(t0)
        li      t1, 0x6000
        csrs    mstatus, t1
        .set    at, RESULT_CSR + 8
        .irp    r, menvcfg, medeleg, mideleg, mie, mcounteren, scounteren, senvcfg, mstateen0, sstateen0, satp, mscratch, sscratch, mcause, scause, sepc, mtval, stval, stimecmp, mip, mcountinhibit, pmpaddr0, pmpaddr1, pmpaddr2, pmpaddr3, pmpaddr4, pmpaddr5, pmpaddr6, pmpaddr7, pmpaddr8, pmpaddr9, pmpaddr10, pmpaddr11, pmpaddr12, pmpaddr13, pmpaddr14, pmpaddr15, pmpcfg0, pmpcfg2, fcsr, mepc, sstatus, sie, sip, mtvec, stvec, misa
        csrr    t1, \r
        sd      t1, at(t0)
        .set    at, at + 8
        .endr
        .set    at, RESULT_F
        .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        fsd     f\n, at(t0)
        .set    at, at + 8
        .endr
        csrw    mstatus, zero
        csrw    satp, zero
        csrw    pmpcfg0, zero
        csrw    pmpcfg2, zero
        csrw    mip, zero
        csrw    mie, zero
        ld      t3, FLAGS(t0)
        la      t0, count
        ld      t2, 8(t0)
        addi    t2, t2, 1
        sd      t2, 8(t0)
        andi    t3, t3, RESET_AFTER
        beqz    t3, next
        # QEMU 10.0.2 unlocks as many entries of the PMP as are active, from the first on: all must be.
        li      t1, 0x1010101010101010
        csrw    pmpcfg0, t1
        csrw    pmpcfg2, t1
        li      t0, 0x100000
        li      t1, 0x7777
        sw      t1, 0(t0)
1:      j       1b

        .balign 64
trap_s: enter   s, SAVE_S
        write_log 1, s
        li      t1, 0x40000
        csrs    sstatus, t1
        csrr    t1, scause
        bltz    t1, 5f
        csrr    t2, sepc
        ld      t3, CODE(t0)
        sub     t3, t2, t3
        srli    t3, t3, 12
        bnez    t3, 2f
        addi    t3, t1, -1
        beqz    t3, 2f
        addi    t3, t1, -12
        beqz    t3, 2f
        ld      t3, END_PC(t0)
        bgeu    t2, t3, leave_s
        lhu     t3, 0(t2)
        not     t3, t3
        andi    t3, t3, 3
        addi    t2, t2, 2
        bnez    t3, 3f
        addi    t2, t2, 2
        j       3f
2:      andi    t2, ra, -2
3:      csrw    sepc, t2
4:      ld      t1, LOGGED(t0)
        li      t2, LOG_MOST
        bgeu    t1, t2, leave_s
        # SUM as it was: the log's last entry has it.
        addi    t1, t1, -1
        slli    t2, t1, 5
        slli    t1, t1, 3
        add     t1, t1, t2
        add     t1, t1, t0
        ld      t1, LOG+32(t1)
        not     t1, t1
        li      t2, 0x40000
        and     t1, t1, t2
        csrc    sstatus, t1
        leave   s, SAVE_S
        sret
5:      csrw    sie, zero
        j       4b

# S-mode gives up through an exception that is not delegated.
leave_s: ld     t1, FLAGS(t0)
        andi    t1, t1, ESCAPE_ILLEGAL
        bnez    t1, 1f
        leave   s, SAVE_S
        j       escape
1:      leave   s, SAVE_S
        j       escape + 4
        .balign 8
        .option norvc
escape: ebreak
        .word   0

# Start-up of the programs that run on virt without an operating system, in M-mode, loaded with -bios none -kernel.

    .section .text.start, "ax", %progbits
    .global _start
_start:
    csrr    t0, mhartid
1:  beqz    t0, 2f
    wfi                         # the others
    j       1b
2:  .option push
    .option norelax
    la      gp, __global_pointer$
    .option pop
    la      sp, __stack_top
    la      t0, trap
    csrw    mtvec, t0
    li      t0, 0x2000          # mstatus.FS
    csrs    mstatus, t0
    call    main
    tail    quit

# Nobody expects an exception.
    .balign 4
trap:
    li      a0, 3
    tail    quit

# int semihosting(unsigned operation, uintptr_t argument); RISC-V Semihosting, "Binary Interface": no compressed instructions, one page.
    .section .text.semihosting, "ax", %progbits
    .global semihosting
    .balign 16
semihosting:
    .option push
    .option norvc
    slli    zero, zero, 0x1f
    ebreak
    srai    zero, zero, 7
    .option pop
    ret

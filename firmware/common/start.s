@ Vectors and start-up of every firmware here, C and Rust alike (Rust takes this file in by global_asm!).
@
@ What a program provides: `main`, whose result is the exit status. What it may provide:
@   irq(n)            every external interrupt, n as the NVIC numbers it
@   fault(n, frame)   every exception without a handler of its own (n = IPSR), given the stacked frame
@   *_Handler         a system exception of its own; sections.ld puts the default where there is none (a weak symbol
@                     here would clash with Rust's own definition once LTO has made both one object)
@
@ One entry for all external interrupts costs two instructions and saves 64 names.

    .syntax unified
    .cpu    cortex-m3
    .thumb

    .section .vectors, "a", %progbits
    .global __vectors
__vectors:
    .word   __stack_top
    .word   Reset_Handler
    .word   NMI_Handler
    .word   HardFault_Handler
    .word   MemManage_Handler
    .word   BusFault_Handler
    .word   UsageFault_Handler
    .word   0, 0, 0, 0
    .word   SVC_Handler
    .word   DebugMon_Handler
    .word   0
    .word   PendSV_Handler
    .word   SysTick_Handler
    .rept   64
    .word   External_Handler
    .endr

    .section .text.start, "ax", %progbits
    .global Reset_Handler
    .type   Reset_Handler, %function
    .thumb_func
Reset_Handler:
    ldr     r0, =__data_start
    ldr     r1, =__data_end
    ldr     r2, =__data_load
1:  cmp     r0, r1
    itt     lo
    ldrlo   r3, [r2], #4
    strlo   r3, [r0], #4
    blo     1b
    ldr     r0, =__bss_start
    ldr     r1, =__bss_end
    movs    r3, #0
2:  cmp     r0, r1
    it      lo
    strlo   r3, [r0], #4
    blo     2b
    bl      main
    bl      quit
3:  wfi
    b       3b

    .type   External_Handler, %function
    .thumb_func
External_Handler:
    mrs     r0, ipsr
    subs    r0, #16
    b       irq

@ A machine without semihosting turns its BKPT into a HardFault. Such a call answers -1, as a failed one does,
@ so that the firmware runs there too; all else goes to `fault`.
    .global HardFault_Default
    .type   HardFault_Default, %function
    .thumb_func
HardFault_Default:
    tst     lr, #4
    ite     eq
    mrseq   r1, msp
    mrsne   r1, psp
    ldr     r3, [r1, #24]           @ the stacked pc
    ldr     r2, =call_here
    cmp     r3, r2
    bne     4f
    ldr     r2, =0xe000ed2c         @ HFSR and, behind it, DFSR: each bit is cleared by writing it
    ldr     r0, [r2]
    str     r0, [r2]
    ldr     r0, [r2, #4]
    str     r0, [r2, #4]
    adds    r3, #2
    str     r3, [r1, #24]
    mvn     r3, #0
    str     r3, [r1]
    bx      lr

    .global Default_Handler
    .type   Default_Handler, %function
    .thumb_func
Default_Handler:
    tst     lr, #4
    ite     eq
    mrseq   r1, msp
    mrsne   r1, psp
4:  mrs     r0, ipsr
    b       fault

@ semihosting(operation, argument) -> result, by the calling convention just where the call wants its registers.
    .global semihosting
    .type   semihosting, %function
    .thumb_func
semihosting:
call_here:
    bkpt    #0xab
    bx      lr

    .ltorg

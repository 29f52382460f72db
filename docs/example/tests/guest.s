@ The guest of tests/board.rs. It beats three times, sleeping between, then asks for nothing more.
@ arm-none-eabi-as -mthumb -mcpu=cortex-m3 guest.s -o g.o && arm-none-eabi-objcopy -O binary g.o /dev/stdout | od -An -v -tx4
        .syntax unified
        .thumb
        .word 0x20001000        @ initial stack
        .word start + 1         @ reset
        .rept 17
        .word stop + 1
        .endr
        .word beat + 1          @ interrupt 3
start:  ldr   r0, =0xe000e100   @ NVIC ISER0
        movs  r1, #8
        str   r1, [r0]
        ldr   r4, =0x40000000   @ the metronome
        movs  r5, #0
        movw  r1, #10000
        str   r1, [r4, #4]      @ PERIOD
        movs  r1, #3
        str   r1, [r4]          @ CTRL: EN, IRQEN
sleep:  wfi
        cmp   r5, #3
        bne   sleep
        movs  r1, #0
        str   r1, [r4]          @ CTRL
        ldr   r0, =0x20000000
        str   r5, [r0]
stop:   wfi
        b     stop
beat:   str   r4, [r4, #0x10]   @ ACK
        adds  r5, r5, #1
        bx    lr

/* Console and end of a run; all that `hello` needs. */
#include "lib.h"

#if defined(BOARD_VIRT)
/* A 16550A: data at 0; bit 5 of the line status at 5 says that there is room. */
#define UART(n) (*(volatile uint8_t *)(uintptr_t)(0x10000000 + (n)))

void console_init(void) {}

void put(char c)
{
    while (!(UART(5) & 1 << 5)) {}
    UART(0) = (uint8_t)c;
}
#elif defined(BOARD_LM3S6965EVB)
/* LM3S6965 data sheet: system control, GPIO, UART (a PL011). */
enum { UART_TX_FULL = 1 << 5 };
#define UART_DR REG(0x4000c000)
#define UART_FR REG(0x4000c018)

void console_init(void)
{
    REG(0x400fe104) |= 1;    /* RCGC1: clock for UART0 */
    REG(0x400fe108) |= 1;    /* RCGC2: clock for port A */
    REG(0x40004420) |= 3;    /* AFSEL: PA0 and PA1 are the UART's */
    REG(0x4000451c) |= 3;    /* DEN */
    REG(0x4000c030) = 0;     /* CR: off while it is set up */
    REG(0x4000c024) = 6;     /* IBRD, FBRD: 115200 baud from 12.5 MHz */
    REG(0x4000c028) = 50;
    REG(0x4000c02c) = 0x70;  /* LCRH: 8N1, FIFOs */
    REG(0x4000c030) = 0x301; /* CR: on, both directions */
}

void put(char c)
{
    while (UART_FR & UART_TX_FULL) {}
    UART_DR = (uint8_t)c;
}
#else
/* Cortex-M System Design Kit TRM, APB UART. */
#define UART_DATA REG(0x40004000)
#define UART_STATE REG(0x40004004)

void console_init(void)
{
    REG(0x40004010) = 217; /* BAUDDIV: 115200 baud from 25 MHz */
    REG(0x40004008) = 3;   /* CTRL: both directions */
}

void put(char c)
{
    while (UART_STATE & 1) {}
    UART_DATA = (uint8_t)c;
}
#endif

enum { SYS_EXIT = 0x18, SYS_EXIT_EXTENDED = 0x20 };
enum { ADP_Stopped_RunTimeErrorUnknown = 0x20023, ADP_Stopped_ApplicationExit = 0x20026 };

_Noreturn void quit(int status)
{
    uintptr_t block[2] = { ADP_Stopped_ApplicationExit, (uintptr_t)status };
    if (status != 0)
        semihosting(SYS_EXIT_EXTENDED, (uintptr_t)block);
#ifdef BOARD_VIRT
    /* 64 bits: the plain call takes the block, too. */
    semihosting(SYS_EXIT, (uintptr_t)block);
#endif
    /* Also the second try where the extended call is unknown. */
    semihosting(SYS_EXIT, status == 0 ? ADP_Stopped_ApplicationExit : ADP_Stopped_RunTimeErrorUnknown);
    for (;;)
        wfi();
}

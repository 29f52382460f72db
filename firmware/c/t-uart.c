/* The console UART by interrupts: a line sent by the transmit interrupt, PL011's loopback, and an echo of what comes in
 * until the end of a line. The echo waits for input without a limit; `echo=0` leaves it out. */
#include "lib.h"

#include <string.h>

#if defined(BOARD_LM3S6965EVB)
/* PrimeCell UART (PL011) TRM, 3.3. One interrupt for all. */
enum { IRQ_UART = 5, INT_RX = 1 << 4, INT_TX = 1 << 5, CR_ON = 0x301, CR_LOOPBACK = 1 << 7 };
#define DR REG(0x4000c000)
#define LCRH REG(0x4000c02c)
#define CR REG(0x4000c030)
#define IMSC REG(0x4000c038)
#define RIS REG(0x4000c03c)
#define MIS REG(0x4000c040)
#define ICR REG(0x4000c044)

static void uart_on(void)
{
    CR = 0;
    LCRH = 0x60; /* 8N1 without FIFOs: an interrupt for each character */
    CR = CR_ON;
    irq_enable(IRQ_UART);
}
static void receive_on(bool on) { IMSC = on ? IMSC | INT_RX : IMSC & ~INT_RX; }
static void transmit_on(bool on) { IMSC = on ? IMSC | INT_TX : IMSC & ~INT_TX; }
static bool received(void) { return MIS & INT_RX; }
static bool transmitted(void) { return MIS & INT_TX; }
static char take(void) { ICR = INT_RX; return (char)DR; }
static void transmit_clear(void) { ICR = INT_TX; }
static void send(char c) { DR = (uint8_t)c; }
#else
/* Cortex-M System Design Kit TRM, APB UART. Receive and transmit have an interrupt each. */
enum { IRQ_RX = 0, IRQ_TX = 1, CTRL_ON = 3, CTRL_TX_INT = 4, CTRL_RX_INT = 8, INT_TX = 1, INT_RX = 2 };
#define DATA REG(0x40004000)
#define CTRL REG(0x40004008)
#define INTSTATUS REG(0x4000400c)

static void uart_on(void)
{
    CTRL = CTRL_ON;
    irq_enable(IRQ_RX);
    irq_enable(IRQ_TX);
}
static void receive_on(bool on) { CTRL = on ? CTRL | CTRL_RX_INT : CTRL & ~(uint32_t)CTRL_RX_INT; }
static void transmit_on(bool on) { CTRL = on ? CTRL | CTRL_TX_INT : CTRL & ~(uint32_t)CTRL_TX_INT; }
static bool received(void) { return INTSTATUS & INT_RX; }
static bool transmitted(void) { return INTSTATUS & INT_TX; }
static char take(void) { INTSTATUS = INT_RX; return (char)DATA; }
static void transmit_clear(void) { INTSTATUS = INT_TX; }
static void send(char c) { DATA = (uint8_t)c; }
#endif

static const char *volatile to_send;
static volatile unsigned sent;
static volatile char line[128];
static volatile unsigned length, interrupts;
static volatile bool line_over;

void irq(unsigned n)
{
    (void)n;
    interrupts++;
    if (received()) {
        char c = take();
        if (c == '\n' || c == '\r')
            line_over = true;
        else if (length < sizeof line - 1)
            line[length++] = c;
    }
    if (transmitted()) {
        transmit_clear();
        if (to_send && *to_send) {
            sent++;
            send(*to_send++);
        }
    }
}

static void test_transmit(void)
{
    static const char text[] = "this line is sent by interrupts\n";
    irq_off();
    to_send = text + 1;
    sent = 1;
    transmit_on(true);
    send(text[0]);
    while (sent < sizeof text - 1) {
        wfi();
        irq_on();
        irq_off();
    }
    irq_on();
    transmit_on(false);
    check("each character sent raised the transmit interrupt", interrupts >= sizeof text - 2);
}

static void test_loopback(void)
{
#if defined(BOARD_LM3S6965EVB)
    CR = CR_ON | CR_LOOPBACK;
    length = interrupts = 0;
    receive_on(true);
    for (const char *s = "loop"; *s; s++) {
        unsigned before = length;
        send(*s);
        for (int i = 0; i < 100000 && length == before; i++)
            __asm volatile("");
    }
    receive_on(false);
    CR = CR_ON;
    check("loopback brings each character back by interrupt", length == 4 && memcmp((char *)line, "loop", 4) == 0);
#else
    skip("loopback", "the CMSDK UART has none");
#endif
}

static void test_echo(void)
{
    if (option("echo", 1) == 0) {
        skip("echo", "echo=0");
        return;
    }
    length = interrupts = 0;
    line_over = false;
    memset((char *)line, 0, sizeof line);
    receive_on(true);
    say("type a line\n");
    unsigned shown = 0;
    irq_off();
    while (!line_over || shown < length) {
        if (shown == length && !line_over)
            wfi();
        irq_on();
        while (shown < length)
            put(line[shown++]);
        irq_off();
    }
    irq_on();
    receive_on(false);
    put('\n');
    check("the line came by receive interrupts, one for each character", length > 0 && interrupts >= length);
    say("     %u characters, %u interrupts\n", length, interrupts);
}

int main(void)
{
    console_init();
    uart_on();
    test_transmit();
    test_loopback();
    test_echo();
    return finish("t-uart");
}

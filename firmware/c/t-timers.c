/* The board's timers, measured in CPU cycles. lm3s6965evb: general-purpose timers. mps2-an385: CMSDK timers and dual
 * timer, and the counters of FPGAIO. */
#include "lib.h"

static volatile unsigned count[64];
static void (*volatile clear)(void);

void irq(unsigned n)
{
    count[n]++;
    clear();
}

/* Cycles that `periods` interrupts of number `n` take, after a first one that sets the beginning. */
static uint32_t measure(unsigned n, unsigned periods)
{
    unsigned first = count[n] + 1;
    while (count[n] < first)
        wfi();
    uint64_t from = cycles();
    while (count[n] < first + periods)
        wfi();
    return (uint32_t)(cycles() - from);
}

static void wait(uint32_t span)
{
    uint64_t from = cycles();
    while (cycles() - from < span) {}
}

#if defined(BOARD_LM3S6965EVB)

/* LM3S6965 data sheet, "General-Purpose Timers". */
enum { CFG = 0x00, TAMR = 0x04, TBMR = 0x08, CTL = 0x0c, IMR = 0x18, RIS = 0x1c, MIS = 0x20, ICR = 0x24, TAILR = 0x28, TAR = 0x48 };
enum { ONE_SHOT = 1, PERIODIC = 2 };

static uint32_t timer;
#define T(offset) REG(timer + (offset))

static void clear_gptm(void) { T(ICR) = T(MIS); }

static void test_gptm(unsigned index, uint32_t base, unsigned n)
{
    const uint32_t period = 25000; /* 2 ms */
    timer = base;
    clear = clear_gptm;
    say("     timer %u\n", index);
    irq_enable(n);
    T(CTL) = 0;
    T(CFG) = 0;
    T(TAMR) = PERIODIC;
    T(TAILR) = period - 1;
    T(IMR) = 1;
    check_equal("TAILR reads back 32 bits", T(TAILR), period - 1);
    T(CTL) = 1;
    check_near("ten periods of the 32-bit timer", measure(n, 10), 10 * period, 2);
    T(CTL) = 0;
    unsigned before = count[n];
    wait(2 * period);
    check("stopped, it is quiet", count[n] == before);

    T(TAMR) = ONE_SHOT;
    T(CTL) = 1;
    wait(3 * period);
    check("a one-shot fires once and clears TAEN", count[n] == before + 1 && !(T(CTL) & 1));

    T(IMR) = 0;
    T(CTL) = 1;
    wait(2 * period);
    check("masked: RIS without interrupt", count[n] == before + 1 && (T(RIS) & 1) && !(T(MIS) & 1));
    T(ICR) = 1;
    check("ICR clears RIS", !(T(RIS) & 1));

    T(TAMR) = PERIODIC;
    T(TAILR) = 100000;
    T(CTL) = 1;
    uint32_t first = T(TAR);
    wait(1000);
    uint32_t second = T(TAR);
    if (first == 0 && second == 0)
        skip("TAR counts", "TAR reads 0 here");
    else
        check_near("TAR counts cycles", first - second, 1000, 20);
    T(CTL) = 0;

    T(CFG) = 4; /* two timers of 16 bits */
    T(TAILR) = period - 1;
    T(IMR) = 1;
    before = count[n];
    T(CTL) = 1;
    wait(4 * period);
    if (count[n] == before)
        skip("16-bit mode", "it never fires here");
    else
        check_near("16-bit mode: ten periods", measure(n, 10), 10 * period, 2);
    T(CTL) = 0;
    irq_disable(n);
}

static void test_all(void)
{
    REG(0x400fe104) |= 0xf << 16; /* RCGC1: clock for the four timers */
    test_gptm(0, 0x40030000, 19);
    test_gptm(1, 0x40031000, 21);
    test_gptm(2, 0x40032000, 23);
    test_gptm(3, 0x40033000, 35);
}

#else

/* Cortex-M System Design Kit TRM: APB timer. */
static uint32_t timer;
#define CTRL REG(timer + 0x0)
#define VALUE REG(timer + 0x4)
#define RELOAD REG(timer + 0x8)
#define INTSTATUS REG(timer + 0xc)

static void clear_timer(void) { INTSTATUS = 1; }

static void test_timer(unsigned index, uint32_t base, unsigned n)
{
    const uint32_t period = 50000; /* 2 ms */
    timer = base;
    clear = clear_timer;
    say("     timer %u\n", index);
    irq_enable(n);
    RELOAD = period - 1;
    CTRL = 9;
    check_near("ten periods", measure(n, 10), 10 * period, 2);
    uint64_t from = cycles();
    uint32_t value = VALUE;
    while (VALUE <= value) /* until it has reloaded */
        value = VALUE;
    value = VALUE;
    from = cycles();
    wait(5000);
    check_near("VALUE counts cycles", value - VALUE, (uint32_t)(cycles() - from), 5);
    CTRL = 0;
    unsigned before = count[n];
    value = VALUE;
    wait(2 * period);
    check("stopped, it is quiet and keeps its value", count[n] == before && VALUE == value);
    CTRL = 1; /* no interrupt */
    wait(2 * period);
    check("without IRQEN there is none", count[n] == before && INTSTATUS == 0);
    CTRL = 0;
    check_equal("part number in the ID registers", REG(base + 0xfe0) | (REG(base + 0xfe4) & 0xf) << 8, 0x822);
    irq_disable(n);
}

/* The same TRM: dual-input timers. */
enum { IRQ_DUAL = 10, ONE_SHOT = 1, BITS_32 = 2, DIV_16 = 1 << 2, INT = 1 << 5, PERIODIC = 1 << 6, ENABLE = 1 << 7 };

static uint32_t half;
#define LOAD REG(half + 0x00)
#define COUNT REG(half + 0x04)
#define CONTROL REG(half + 0x08)
#define INTCLR REG(half + 0x0c)
#define RAW REG(half + 0x10)
#define MASKED REG(half + 0x14)
#define BGLOAD REG(half + 0x18)

static void clear_dual(void) { INTCLR = 1; }

static void test_dual(unsigned index, uint32_t base)
{
    const uint32_t period = 50000;
    half = base;
    clear = clear_dual;
    say("     dual timer, half %u\n", index);
    irq_enable(IRQ_DUAL);
    CONTROL = 0;
    CONTROL = BITS_32 | PERIODIC | INT;
    LOAD = period;
    CONTROL = BITS_32 | PERIODIC | INT | ENABLE;
    check_near("ten periods, 32 bits", measure(IRQ_DUAL, 10), 10 * period, 2);
    BGLOAD = 2 * period;
    measure(IRQ_DUAL, 1);
    check_near("BGLOAD changes the next period", measure(IRQ_DUAL, 4), 8 * period, 2);
    CONTROL = 0;
    CONTROL = BITS_32 | PERIODIC | INT | DIV_16;
    LOAD = period / 16;
    CONTROL = BITS_32 | PERIODIC | INT | DIV_16 | ENABLE;
    check_near("prescaler 16", measure(IRQ_DUAL, 10), 10 * period, 2);
    CONTROL = 0;
    CONTROL = INT | ENABLE; /* free-running, 16 bits */
    check_near("free-running 16 bits wraps at 65536", measure(IRQ_DUAL, 4), 4 * 65536, 2);
    CONTROL = 0;
    clear_dual();
    unsigned before = count[IRQ_DUAL];
    CONTROL = BITS_32 | PERIODIC | INT | ONE_SHOT;
    LOAD = period;
    CONTROL = BITS_32 | PERIODIC | INT | ONE_SHOT | ENABLE;
    wait(3 * period);
    check("a one-shot fires once and stops at 0", count[IRQ_DUAL] == before + 1 && COUNT == 0);
    CONTROL = 0;
    CONTROL = BITS_32 | PERIODIC;
    LOAD = period;
    CONTROL = BITS_32 | PERIODIC | ENABLE;
    wait(2 * period);
    check("masked: raw status without interrupt", count[IRQ_DUAL] == before + 1 && RAW == 1 && MASKED == 0);
    CONTROL = 0;
    INTCLR = 1;
    check_equal("INTCLR clears the raw status", RAW, 0);
    irq_disable(IRQ_DUAL);
}

/* Application note AN385, FPGA system registers. */
static void test_fpgaio(void)
{
    say("     FPGAIO\n");
    REG(0x4002801c) = 24; /* PRESCALE: COUNTER runs at 1 MHz */
    REG(0x40028020) = 0;
    REG(0x40028018) = 0;
    uint32_t from = REG(0x40028018);
    wait(CPU_HZ / 100);
    check_near("COUNTER runs at the prescaled clock", REG(0x40028018) - from, 10000, 2);
    from = REG(0x40028014);
    wait(CPU_HZ / 10);
    uint32_t passed = REG(0x40028014) - from;
    check("CLK100HZ counts a hundredth of a second", passed >= 9 && passed <= 11);
}

static void test_all(void)
{
    test_timer(0, 0x40000000, 8);
    test_timer(1, 0x40001000, 9);
    test_dual(1, 0x40002000);
    test_dual(2, 0x40002020);
    test_fpgaio();
}

#endif

int main(void)
{
    console_init();
    cycles_start();
    test_all();
    return finish("t-timers");
}

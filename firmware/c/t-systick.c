/* SysTick (ARMv7-M Architecture Reference Manual, B3.3), its period measured against DWT's cycle counter. */
#include "lib.h"

enum { ENABLE = 1, TICKINT = 2, CPU_CLOCK = 4, COUNTFLAG = 1 << 16 };
#define SYST_CALIB REG(0xe000e01c)

static volatile unsigned ticks;

void SysTick_Handler(void) { ticks++; }

static void start(uint32_t period, uint32_t flags)
{
    SYST_CSR = 0;
    ticks = 0;
    SYST_RVR = period - 1;
    SYST_CVR = 0;
    SYST_CSR = flags;
}

static void wait_ticks(unsigned n)
{
    while (ticks < n)
        wfi();
}

static void test_registers(void)
{
    SYST_CSR = 0;
    SYST_RVR = 0xffffffff;
    check_equal("RVR has 24 bits", SYST_RVR, 0x00ffffff);
    start(1000, ENABLE | CPU_CLOCK);
    while (!(SYST_CSR & COUNTFLAG)) {}
    check("COUNTFLAG is cleared by reading it", !(SYST_CSR & COUNTFLAG) || SYST_CVR < 900);
    check("CVR stays below RVR", SYST_CVR < 1000);
    check("without TICKINT there is no interrupt", ticks == 0);
    start(0x1000000, ENABLE | CPU_CLOCK);
    for (volatile int i = 0; i < 1000; i++) {}
    uint32_t first = SYST_CVR;
    for (volatile int i = 0; i < 1000; i++) {}
    check("it counts down", SYST_CVR < first && first != 0);
    SYST_CVR = 12345;
    check("any write to CVR clears it: it reloads", SYST_CVR == 0 || SYST_CVR > 0xff0000);
    start(1, ENABLE | TICKINT | CPU_CLOCK); /* RVR 0 */
    for (volatile int i = 0; i < 1000; i++) {}
    check("RVR 0 never ticks", ticks == 0);
    SYST_CSR = 0;
    ICSR = 1u << 26;
    dsb();
    check("PENDSTSET makes one tick", ticks == 1);
    irq_off();
    ICSR = 1u << 26;
    bool pending = ICSR & 1u << 26;
    ICSR = 1u << 25;
    irq_on();
    check("PENDSTCLR takes it back", pending && ticks == 1);
}

static void test_period(void)
{
    if (!dwt_start()) {
        skip("period against DWT_CYCCNT", "DWT does not count here");
        return;
    }
    const uint32_t period = CPU_HZ / 1000;
    start(period, ENABLE | TICKINT | CPU_CLOCK);
    wait_ticks(1);
    uint32_t from = DWT_CYCCNT;
    wait_ticks(21);
    uint32_t slept = DWT_CYCCNT - from;
    if (slept < 10 * period) /* an implementation may gate the counter's clock in sleep */
        skip("20 sleeping periods", "CYCCNT stands still in sleep here");
    else
        check_near("20 sleeping periods take 20 times RVR + 1 cycles", slept, 20 * period, 1);
    start(period, ENABLE | TICKINT | CPU_CLOCK);
    while (ticks < 1) {}
    from = DWT_CYCCNT;
    while (ticks < 6) {}
    check_near("5 busy periods too", DWT_CYCCNT - from, 5 * period, 1);
    from = DWT_CYCCNT;
    uint32_t value = SYST_CVR;
    for (volatile int i = 0; i < 200; i++) {}
    uint32_t counts = (value - SYST_CVR + period) % period, passed = DWT_CYCCNT - from;
    check_near("one count is one cycle", counts, passed, 2);
    SYST_CSR = 0;
}

static void test_reference(void)
{
    say("     CALIB 0x%08x\n", (unsigned)SYST_CALIB);
    if (SYST_CALIB & 1u << 31) {
        start(1000, ENABLE);
        check("no reference clock: CLKSOURCE stays 1", SYST_CSR & CPU_CLOCK);
        return;
    }
    bool dwt = dwt_start(); /* before the first tick: it takes a while itself */
    start(101, ENABLE | TICKINT);
    wait_ticks(1);
    uint32_t from = DWT_CYCCNT;
    wait_ticks(11);
    if (dwt)
        check_near("reference clock of 1 MHz", DWT_CYCCNT - from, CPU_HZ / 1000000 * 1010, 2);
    else
        check("the reference clock ticks", ticks >= 11);
}

int main(void)
{
    console_init();
    test_registers();
    test_period();
    test_reference();
    SYST_CSR = 0;
    return finish("t-systick");
}

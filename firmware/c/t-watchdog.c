/* The watchdog: it counts, interrupts, can be kicked and locked, and at the second time-out resets the board, once. The
 * boot after that knows itself by a word in RAM that the start-up code does not clear. Both boards have the same unit, the
 * Stellaris part its own reset cause register as well (LM3S6965 data sheet, "Watchdog Timer"; CMSDK TRM, APB watchdog). */
#include "lib.h"

#if defined(BOARD_LM3S6965EVB)
enum { BASE = 0x40000000, IRQ_WATCHDOG = 18 };
#define RESC REG(0x400fe05c)
#else
enum { BASE = 0x40008000 };
#endif

#define LOAD REG(BASE + 0x00)
#define VALUE REG(BASE + 0x04)
#define CONTROL REG(BASE + 0x08)
#define INTCLR REG(BASE + 0x0c)
#define RIS REG(BASE + 0x10)
#define MIS REG(BASE + 0x14)
#define LOCK REG(BASE + 0xc00)
enum { INTEN = 1, RESEN = 2, KEY = 0x1acce551, SPAN = 50000, FIRST_BOOT_DONE = 0x57415443 };

__attribute__((section(".noinit"))) static volatile struct {
    uint32_t magic;
    uint32_t time_outs;
    uint32_t failures; /* of the first boot */
} kept;

static volatile bool hands_off;

static void time_out(void)
{
    kept.time_outs++;
    if (!hands_off)
        INTCLR = 1;
    else
        for (;;) {} /* the line stays up: stay here until the reset */
}

void NMI_Handler(void) { time_out(); } /* mps2-an385 */

void irq(unsigned n) /* lm3s6965evb */
{
    (void)n;
    time_out();
}

static int first_boot(void)
{
    kept.time_outs = 0;
    say("     first boot\n");
#if defined(BOARD_LM3S6965EVB)
    REG(0x400fe100) |= 1 << 3; /* RCGC0: its clock */
    RESC = 0;
    irq_enable(IRQ_WATCHDOG);
#endif
    check_equal("after reset LOAD is all ones", LOAD, 0xffffffff);
    check_equal("and all is off", CONTROL, 0);
    LOAD = 1000000;
    LOCK = 1;
    LOAD = SPAN;
    check_equal("locked, LOAD stays", LOAD, 1000000);
    check_equal("LOCK says so", LOCK, 1);
    LOCK = KEY;
    check_equal("the key opens it", LOCK, 0);
    LOAD = SPAN;
    check_equal("then LOAD takes a write", LOAD, SPAN);
    kept.magic = FIRST_BOOT_DONE; /* here, since the board may be reset any moment from now on */

    cycles_start();
    CONTROL = INTEN | RESEN;
    uint64_t from = cycles();
    uint32_t value = VALUE;
    check("VALUE counts from LOAD", value <= SPAN && value > SPAN / 2);
    while (kept.time_outs == 0 && cycles() - from < 4 * SPAN) {}
    check_near("the first time-out interrupts after LOAD cycles", (uint32_t)(cycles() - from), SPAN, 5);
    check("clearing it clears the status", RIS == 0 && MIS == 0);
    for (int i = 0; i < 5; i++) {
        from = cycles();
        while (cycles() - from < SPAN / 2) {}
        INTCLR = 1;
    }
    check("kicked in time it stays quiet", kept.time_outs == 1);
    hands_off = true;
    kept.failures = failures();
    say("     letting go\n");
    from = cycles();
    while (cycles() - from < 10 * SPAN) {}
    kept.magic = 0;
    check("the board was reset", false);
    return finish("t-watchdog");
}

static int second_boot(void)
{
    kept.magic = 0;
    say("     second boot\n");
    check("the board was reset", true);
    check_equal("and the first boot went well", kept.failures, 0);
    check_equal("by the time-out after the second interrupt", kept.time_outs, 2);
    check_equal("the watchdog is off again", CONTROL, 0);
#if defined(BOARD_LM3S6965EVB)
    if (RESC == 0)
        skip("RESC says watchdog", "RESC is 0 here");
    else
        check_equal("RESC says watchdog", RESC & 8, 8);
    RESC = 0;
#endif
    return finish("t-watchdog");
}

int main(void)
{
    console_init();
    return kept.magic == FIRST_BOOT_DONE ? second_boot() : first_boot();
}

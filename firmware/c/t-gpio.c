/* General-purpose pins. lm3s6965evb: PL061 ports, as far as they can be tried with nothing connected. mps2-an385: LEDs,
 * buttons and switches of FPGAIO; the CMSDK GPIO ports where they are modelled. */
#include "lib.h"

static volatile unsigned interrupts;

#if defined(BOARD_LM3S6965EVB)

/* PrimeCell GPIO (PL061) TRM, 3.3; from 0x500 on LM3S6965 data sheet, "General-Purpose Input/Outputs". */
enum { DIR = 0x400, IS = 0x404, IBE = 0x408, IEV = 0x40c, IM = 0x410, RIS = 0x414, MIS = 0x418, ICR = 0x41c, AFSEL = 0x420 };
enum { PUR = 0x510, PDR = 0x514, DEN = 0x51c, LOCK = 0x520, CR = 0x524 };
enum { PORT_B = 0x40005000, PORT_E = 0x40024000, PORT_F = 0x40025000, IRQ_B = 1 };

#define B(offset) REG(PORT_B + (offset))
/* The address carries the mask: bits 9:2 say which pins an access sees. */
#define B_DATA(mask) REG(PORT_B + ((mask) << 2))

void irq(unsigned n)
{
    interrupts++;
    if (n == IRQ_B && B(MIS) & ~B(IS)) /* an edge: clear it */
        B(ICR) = B(MIS);
    else
        B(IM) = 0; /* a level: only masking ends it */
}

static void test_data(void)
{
    B(DIR) = 0xf0;
    B(DEN) = 0xff;
    check_equal("DIR reads back", B(DIR), 0xf0);
    B_DATA(0xff) = 0xa0;
    check_equal("outputs read back", B_DATA(0xf0), 0xa0);
    B_DATA(0x30) = 0xff;
    check_equal("a write touches the pins of its address only", B_DATA(0xf0), 0xb0);
    check_equal("a read shows the pins of its address only", B_DATA(0x90), 0x90);
    check_equal("mask 0 reads 0", B_DATA(0x00), 0);
    B_DATA(0x0f) = 0x0f;
    check_equal("a write does not turn inputs round", B(DIR), 0xf0);
    B(PUR) = 0x05;
    check_equal("PUR reads back", B(PUR), 0x05);
    B(PDR) = 0x0a;
    check_equal("PDR reads back", B(PDR), 0x0a);
    B(PUR) = B(PDR) = 0;
    check_equal("ID registers: PL061", REG(PORT_B + 0xfe0) & 0xff, 0x61);
    check_equal("ID registers: PrimeCell", REG(PORT_B + 0xff0) & 0xff, 0x0d);
}

static void test_interrupt(void)
{
    B(DIR) = 0;
    B_DATA(0xff) = 0;
    irq_enable(IRQ_B);
    bool low = !(B_DATA(0x10));
    interrupts = 0;
    B(IS) = 0x10; /* level of pin 4: the one it has not */
    B(IBE) = 0;
    B(IEV) = low ? 0x10 : 0;
    B(ICR) = 0xff;
    B(IM) = 0x10;
    dsb();
    check("a level the pin has not raises nothing", interrupts == 0);
    B(IM) = 0;
    B(IEV) = low ? 0 : 0x10;
    dsb();
    check("the level it has shows in RIS, masked not in MIS", (B(RIS) & 0x10) && B(MIS) == 0 && interrupts == 0);
    B(IM) = 0x10;
    dsb();
    check("unmasked it interrupts", interrupts >= 1);
    B(IM) = 0;
    B(IS) = 0;
    B(ICR) = 0xff;
    irq_disable(IRQ_B);
}

static void test_buttons(void)
{
    REG(PORT_E + DEN) = 0x0f;
    REG(PORT_F + DEN) = 0x02;
    if (REG(PORT_E + (0x0f << 2)) == 0 && REG(PORT_F + (0x02 << 2)) == 0) {
        skip("buttons", "nothing drives their pins here before the first key");
        return;
    }
    check_equal("up, down, left, right (PE0-3) idle high", REG(PORT_E + (0x0f << 2)), 0x0f);
    check_equal("select (PF1) idles high", REG(PORT_F + (0x02 << 2)), 0x02);
}

static void test_lock(void)
{
    const uint32_t reset = B(CR);
    B(LOCK) = 0;
    B(CR) = reset ^ 0x01;
    check_equal("CR is locked", B(CR), reset);
    check_equal("LOCK says so", B(LOCK), 1);
    B(LOCK) = 0x1acce551;
    if (B(LOCK) != 0) { /* QEMU 10 compares with 0x0acce551 */
        skip("unlocking", "the data sheet's key 0x1acce551 does not fit here");
        return;
    }
    check_equal("the key opens it", B(LOCK), 0);
    B(CR) = reset ^ 0x01;
    check_equal("then CR takes a write", B(CR), reset ^ 0x01);
    B(CR) = reset;
    B(LOCK) = 0;
}

static void test_all(void)
{
    REG(0x400fe108) |= 0x7f; /* RCGC2: clock for all ports */
    test_data();
    test_interrupt();
    test_buttons();
    test_lock();
}

#else

/* Application note AN385, FPGA system registers; CMSDK TRM, AHB GPIO. */
#define LED0 REG(0x40028000)
#define BUTTON REG(0x40028008)
#define MISC REG(0x4002804c)
#define GPIO0(offset) REG(0x40010000 + (offset))
enum { DATA = 0x00, DATAOUT = 0x04, OUTENSET = 0x10, OUTENCLR = 0x14, MASKLOW = 0x400 };

void irq(unsigned n)
{
    (void)n;
    interrupts++;
}

static void test_all(void)
{
    LED0 = 0;
    LED0 = 0xff;
    check_equal("two user LEDs", LED0, 3);
    LED0 = 2;
    check_equal("each on its own", LED0, 2);
    LED0 = 0;
    check_equal("no button is pressed", BUTTON & 3, 0);
    MISC = 0x7f;
    check_equal("MISC reads back", MISC & 0x7f, 0x7f);
    MISC = 0;
    GPIO0(OUTENSET) = 0xff;
    GPIO0(DATAOUT) = 0x5a;
    if (GPIO0(DATAOUT) != 0x5a) {
        skip("GPIO ports", "not modelled here");
        return;
    }
    check_equal("outputs read back", GPIO0(DATAOUT), 0x5a);
    GPIO0(MASKLOW + (0x0f << 2)) = 0x00;
    check_equal("a masked write touches its pins only", GPIO0(DATAOUT), 0x50);
    GPIO0(OUTENCLR) = 0xff;
    check_equal("OUTENCLR", GPIO0(OUTENSET) & 0xff, 0);
}

#endif

int main(void)
{
    console_init();
    test_all();
    return finish("t-gpio");
}

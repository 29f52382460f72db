/* Bit-banding (Cortex-M3 TRM, "Bit-banding"): each bit of the first MiB of SRAM and of the peripherals has a word. */
#include "lib.h"

static uint32_t alias(uint32_t address, unsigned bit)
{
    return (address & 0xf0000000) + 0x02000000 + (address & 0xfffff) * 32 + bit * 4;
}

static volatile uint32_t words[4];
static volatile uint8_t bytes[4];

static void test_sram(void)
{
    uint32_t at = (uint32_t)&words[1];
    words[0] = words[2] = 0x55555555;
    bool good = true;
    for (unsigned bit = 0; bit < 32; bit++) {
        words[1] = 0;
        REG(alias(at, bit)) = 1;
        good &= words[1] == 1u << bit;
        good &= REG(alias(at, bit)) == 1;
        words[1] = 0xffffffff;
        REG(alias(at, bit)) = 0;
        good &= words[1] == ~(1u << bit);
        good &= REG(alias(at, bit)) == 0;
    }
    check("each of 32 bits is set, read and cleared alone", good);
    check("the neighbours stay", words[0] == 0x55555555 && words[2] == 0x55555555);
    words[1] = 0;
    REG(alias(at, 9)) = 0xfffffffe;
    check_equal("only bit 0 of what is written counts", words[1], 0);
    REG(alias(at, 9)) = 0x80000001;
    check_equal("whatever the others are", words[1], 1 << 9);
    check_equal("a read gives 0 or 1", REG(alias(at, 9)), 1);
    volatile uint8_t *byte = (volatile uint8_t *)alias(at, 17);
    volatile uint16_t *half = (volatile uint16_t *)alias(at, 18);
    words[1] = 0;
    *byte = 1;
    *half = 1;
    check_equal("byte and halfword accesses do the same", words[1], 3 << 17);
    check("and read the same", *byte == 1 && *half == 1);
    bytes[2] = 0x80;
    check_equal("bytes have aliases too", REG(alias((uint32_t)&bytes[2], 7)), 1);
    bytes[1] = bytes[3] = 0;
    REG(alias((uint32_t)&bytes[2], 0)) = 1;
    check("of their own", bytes[2] == 0x81 && bytes[1] == 0 && bytes[3] == 0);
}

static void test_peripheral(void)
{
#if defined(BOARD_LM3S6965EVB)
    enum { REGISTER = 0x40005400 }; /* GPIODIR of port B */
    REG(0x400fe108) |= 2;
#else
    enum { REGISTER = 0x40028000 }; /* LED0 of FPGAIO */
#endif
    REG(REGISTER) = 0;
    REG(alias(REGISTER, 1)) = 1;
    check_equal("a peripheral's bit is set", REG(REGISTER), 2);
    REG(alias(REGISTER, 0)) = 1;
    check_equal("and another beside it", REG(REGISTER), 3);
    check_equal("and read", REG(alias(REGISTER, 1)), 1);
    REG(alias(REGISTER, 1)) = 0;
    check_equal("and cleared", REG(REGISTER), 1);
    REG(REGISTER) = 0;
}

int main(void)
{
    console_init();
    test_sram();
    test_peripheral();
    return finish("t-bitband");
}

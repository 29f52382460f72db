/* Words, options, cycles and checks for the C firmware: see lib.h. */
#include "lib.h"

#include <stdarg.h>
#ifdef BOARD_VIRT
/* There is no C library: virt.c has these. */
void *memcpy(void *to, const void *from, size_t n);
int strncmp(const char *a, const char *b, size_t n);
size_t strlen(const char *s);
size_t strcspn(const char *s, const char *reject);
#else
#include <string.h>
#endif

/* --- words --- */

static void put_number(uint32_t value, unsigned base, unsigned width)
{
    char digits[10];
    unsigned n = 0;
    do
        digits[n++] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    while (width-- > n)
        put('0');
    while (n > 0)
        put(digits[--n]);
}

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    for (const char *p = format; *p; p++) {
        if (*p != '%') {
            put(*p);
            continue;
        }
        unsigned width = 0;
        for (p++; *p >= '0' && *p <= '9'; p++)
            width = width * 10 + (unsigned)(*p - '0');
        while (*p == 'l') /* long is 32 bits here */
            p++;
        switch (*p) {
        case 's':
            for (const char *s = va_arg(args, const char *); *s; s++)
                put(*s);
            break;
        case 'c': put((char)va_arg(args, int)); break;
        case 'd': {
            int value = va_arg(args, int);
            if (value < 0)
                put('-');
            put_number(value < 0 ? -(uint32_t)value : (uint32_t)value, 10, width);
            break;
        }
        case 'u': put_number(va_arg(args, unsigned), 10, width); break;
        case 'x': put_number(va_arg(args, unsigned), 16, width); break;
        default: put(*p);
        }
    }
    va_end(args);
}

#ifndef BOARD_VIRT
/* --- exceptions nobody expects, for programs without handlers of their own --- */

__attribute__((weak)) void fault(unsigned n, uint32_t *frame)
{
    say("unexpected exception %u at 0x%08x, CFSR 0x%08x\n", n, (unsigned)frame[6], (unsigned)CFSR);
    quit(3);
}

__attribute__((weak)) void irq(unsigned n)
{
    say("unexpected interrupt %u\n", n);
    quit(5);
}
#endif

/* --- options --- */

enum { SYS_GET_CMDLINE = 0x15 };

static const char *find_option(const char *key)
{
    static char line[256];
    uintptr_t block[2] = { (uintptr_t)line, sizeof line };
    if (semihosting(SYS_GET_CMDLINE, (uintptr_t)block) != 0)
        return NULL;
    size_t length = strlen(key);
    for (const char *word = line; *word;) {
        if (strncmp(word, key, length) == 0 && word[length] == '=')
            return word + length + 1;
        while (*word && *word != ' ')
            word++;
        while (*word == ' ')
            word++;
    }
    return NULL;
}

unsigned option(const char *key, unsigned otherwise)
{
    const char *text = find_option(key);
    if (text == NULL || *text < '0' || *text > '9')
        return otherwise;
    unsigned value = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (unsigned)(*text - '0');
    return value;
}

bool option_text(const char *key, char *text, size_t size)
{
    const char *found = find_option(key);
    if (found == NULL)
        return false;
    size_t length = strcspn(found, " ");
    if (length >= size)
        return false;
    memcpy(text, found, length);
    text[length] = 0;
    return true;
}

#ifndef BOARD_VIRT
/* --- cycles --- */

enum { SYSTICK_TURN = 0x1000000 };

static volatile uint32_t turns;

__attribute__((weak)) void SysTick_Handler(void)
{
    turns++;
}

void cycles_start(void)
{
    SYST_CSR = 0;
    turns = 0;
    SYST_RVR = SYSTICK_TURN - 1;
    SYST_CVR = 0;
    SYST_CSR = 7; /* CPU clock, interrupt, on */
}

uint64_t cycles(void)
{
    uint32_t before, value;
    do {
        before = turns;
        value = SYST_CVR;
    } while (before != turns);
    /* The write to CVR left it 0, from where it reloads: 0 is the beginning of a turn. */
    return (uint64_t)before * SYSTICK_TURN + (SYSTICK_TURN - value) % SYSTICK_TURN;
}

bool dwt_start(void)
{
    DEMCR |= 1u << 24; /* TRCENA */
    DWT_CTRL |= 1;     /* CYCCNTENA */
    uint32_t first = DWT_CYCCNT;
    for (volatile int i = 0; i < 100; i++) {}
    return DWT_CYCCNT != first;
}
#endif

/* --- checks --- */

static unsigned passed, failed, skipped;

void check(const char *what, bool good)
{
    say("%s %s\n", good ? "PASS" : "FAIL", what);
    if (good)
        passed++;
    else
        failed++;
}

void check_equal(const char *what, uint32_t is, uint32_t should)
{
    check(what, is == should);
    if (is != should)
        say("     is 0x%08x, should be 0x%08x\n", (unsigned)is, (unsigned)should);
}

void check_near(const char *what, uint32_t is, uint32_t should, unsigned percent)
{
    uint32_t off = is > should ? is - should : should - is;
    bool good = off <= should / 100 * percent;
    check(what, good);
    if (!good)
        say("     is %u, should be %u within %u%%\n", (unsigned)is, (unsigned)should, percent);
}

void skip(const char *what, const char *why)
{
    say("SKIP %s: %s\n", what, why);
    skipped++;
}

unsigned failures(void)
{
    return failed;
}

int finish(const char *name)
{
    say("%s on %s: %u passed, %u failed, %u skipped\n", name, BOARD_NAME, passed, failed, skipped);
    return failed == 0 ? 0 : 1;
}

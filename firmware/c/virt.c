/* What lib.c leaves open on virt (RISC-V 64): the few functions of a C library that it and the compiler call, and minstret for cycles. */
#include "lib.h"

void *memcpy(void *to, const void *from, size_t n)
{
    char *t = to;
    for (const char *f = from; n > 0; n--)
        *t++ = *f++;
    return to;
}

void *memset(void *to, int value, size_t n)
{
    for (char *t = to; n > 0; n--)
        *t++ = (char)value;
    return to;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n > 0; n--, a++, b++)
        if (*a != *b || !*a)
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

size_t strcspn(const char *s, const char *reject)
{
    size_t n = 0;
    for (; s[n]; n++)
        for (const char *r = reject; *r; r++)
            if (s[n] == *r)
                return n;
    return n;
}

static uint64_t start;

static uint64_t minstret(void)
{
    uint64_t value;
    __asm volatile("csrr %0, minstret" : "=r"(value));
    return value;
}

void cycles_start(void) { start = minstret(); }
uint64_t cycles(void) { return minstret() - start; }
bool dwt_start(void) { return false; }

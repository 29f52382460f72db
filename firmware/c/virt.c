/* What lib.c leaves open on virt (RISC-V 64): the few functions of a C library that it, the programs and the compiler call, and minstret
 * for cycles; a process of Linux has the time instead. */
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

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

char *strcpy(char *to, const char *from)
{
    char *t = to;
    while ((*t++ = *from++)) {}
    return to;
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

static uint64_t counter(void)
{
    uint64_t value;
#ifdef ON_LINUX
    __asm volatile("rdtime %0" : "=r"(value));
#else
    __asm volatile("csrr %0, minstret" : "=r"(value));
#endif
    return value;
}

void cycles_start(void) { start = counter(); }
uint64_t cycles(void) { return counter() - start; }
bool dwt_start(void) { return false; }

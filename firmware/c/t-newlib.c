/* A C library on the CPU: printf, malloc, qsort, strings, soft floating point, setjmp. Real compiled code in quantity, with
 * results known from the C standard. */
#include "lib.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void prints(const char *should, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void prints(const char *should, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool good = strcmp(text, should) == 0 && length == (int)strlen(should);
    check(format, good);
    if (!good)
        say("     is \"%s\", should be \"%s\"\n", text, should);
}

static void test_printf(void)
{
    prints("-42 0042 2a 52 *", "%d %04d %x %o %c", -42, 42, 42, 42, '*');
    prints("   right|left    |cut", "%8s|%-8s|%.3s", "right", "left", "cutting");
    prints("-9223372036854775808", "%lld", (long long)INT64_MIN);
    prints("18446744073709551615 ffffffffffffffff", "%llu %llx", (unsigned long long)UINT64_MAX, (unsigned long long)UINT64_MAX);
    prints("3.141592653589793", "%.15f", 3.14159265358979312);
    prints("1e+100 1e-100", "%g %g", 1e100, 1e-100);
    prints("1.797693e+308", "%e", 1.7976931348623157e308);
    prints("0.1000000000000000055511151231257827", "%.34f", 0.1);
    prints("inf -inf nan", "%f %f %f", (double)INFINITY, (double)-INFINITY, (double)NAN);
    prints("+1.50 0001.50", "%+.2f %07.2f", 1.5, 1.5);
}

static void test_strtod(void)
{
    char *end;
    check("strtod 1.5e3", strtod("  1.5e3xyz", &end) == 1500.0 && strcmp(end, "xyz") == 0);
    check("strtod rounds to nearest", strtod("9007199254740993", NULL) == 9007199254740992.0);
    check("strtod denormal", strtod("4.9e-324", NULL) > 0 && strtod("4.9e-324", NULL) / 2 == 0);
    check("strtod hexadecimal", strtod("0x1.8p1", NULL) == 3.0);
    errno = 0;
    check("strtod overflow", isinf(strtod("1e400", NULL)) && errno == ERANGE);
    check("strtol in base 36", strtol("-zz", NULL, 36) == -1295);
    check("strtoull", strtoull("18446744073709551615", NULL, 10) == UINT64_MAX);
    int a = 0;
    unsigned b = 0;
    char word[8] = "";
    check("sscanf", sscanf("12 ff word", "%d %x %7s", &a, &b, word) == 3 && a == 12 && b == 255 && strcmp(word, "word") == 0);
}

static void test_malloc(void)
{
    enum { BLOCKS = 48 };
    unsigned char *block[BLOCKS];
    size_t size[BLOCKS];
    uint32_t random = 1;
    bool good = true;
    for (int i = 0; i < BLOCKS; i++) {
        size[i] = i * 7 % 300 + 1;
        block[i] = malloc(size[i]);
        good &= block[i] != NULL && ((uintptr_t)block[i] & 7) == 0;
        if (block[i])
            memset(block[i], i, size[i]);
    }
    for (int round = 0; round < 400 && good; round++) {
        random = random * 1103515245 + 12345;
        int i = (int)(random >> 16) % BLOCKS;
        for (size_t n = 0; n < size[i]; n++)
            good &= block[i][n] == (unsigned char)i;
        size[i] = random >> 8 & 0x1ff;
        size[i] += size[i] == 0;
        if (round % 3 == 0) {
            free(block[i]);
            block[i] = malloc(size[i]);
        } else {
            block[i] = realloc(block[i], size[i]);
        }
        good &= block[i] != NULL;
        if (block[i])
            memset(block[i], i, size[i]);
    }
    for (int i = 0; i < BLOCKS; i++)
        free(block[i]);
    check("malloc, realloc and free keep 48 blocks apart", good);
    errno = 0;
    volatile size_t much = 64 << 20;
    void *none = malloc(much);
    check("more than there is gives NULL and ENOMEM", none == NULL && errno == ENOMEM);
    free(none);
    unsigned *zeros = calloc(64, 4);
    good = zeros != NULL;
    for (int i = 0; i < 64 && good; i++)
        good &= zeros[i] == 0;
    free(zeros);
    check("calloc clears used memory", good);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void test_sort(void)
{
    static double numbers[300];
    uint32_t random = 7;
    double sum = 0, after = 0;
    for (int i = 0; i < 300; i++) {
        random = random * 1664525 + 1013904223;
        numbers[i] = (int32_t)random / 1024.0; /* exact, so that sums do not depend on the order */
        sum += numbers[i];
    }
    qsort(numbers, 300, sizeof *numbers, by_value);
    bool sorted = true;
    for (int i = 0; i < 300; i++) {
        sorted &= i == 0 || numbers[i - 1] <= numbers[i];
        after += numbers[i];
    }
    check("qsort of 300 doubles", sorted && sum == after);
    double *found = bsearch(&numbers[123], numbers, 300, sizeof *numbers, by_value);
    check("bsearch", found && *found == numbers[123]);
}

static bool near(double is, double should) { return fabs(is - should) <= 1e-14 * fabs(should); }

static void test_math(void)
{
    volatile double two = 2, ten = 10, third = 1.0 / 3, big = 1e17;
    volatile float f = 16777216.0f;
    check("sqrt is exact", sqrt(two) == 1.4142135623730951 && sqrt(16 * two * two * two * two) == 16);
    check("sin, cos, atan", near(sin(two), 0.90929742682568170) && near(cos(two), -0.41614683654714239) && near(atan(two), 1.1071487177940904));
    check("exp, log, pow", near(exp(two), 7.3890560989306502) && near(log(ten), 2.3025850929940457) && near(pow(ten, third), 2.1544346900318838));
    check("floor, ceil, fmod, ldexp", floor(-third) == -1 && ceil(third) == 1 && fmod(ten, 3) == 1 && ldexp(two, 10) == 2048);
    check("a float has 24 bits", f + 1.0f == f && f - 1.0f != f);
    check("a double has 53", 0.1 * 3 * two / two != 0.3 && big + 1 == big);
    check("0.1f as double", (double)(0.1f * (float)two / (float)two) == 0.10000000149011612);
    check("conversions", (int)-2.9 + (int)(two * -1.45) == -4 && (uint32_t)(two * 2147483647.5) == 4294967295u && (int64_t)(big * 10) == 1000000000000000000);
    check("NaN compares with nothing", !(NAN == two - two + NAN) && isnan(sqrt(-two)));
    volatile int64_t n = -1000000007000000049;
    volatile uint64_t u = 0xfedcba9876543210;
    check("64-bit division", n / 1000000007 == -1000000000 && n % 1000000007 == -49);
    check("64-bit product and shifts", u * u == 0xdeec6cd7a44a4100u && u >> 36 == 0xfedcba9 && u << 36 == 0x6543210000000000u);
}

static jmp_buf place;

static volatile bool leaping = true;

static void __attribute__((noinline)) leap(int n)
{
    if (n > 0)
        leap(n - 1);
    else if (leaping)
        longjmp(place, 42);
    __asm volatile("");
}

static void test_rest(void)
{
    volatile int before = 7;
    int got = setjmp(place);
    if (got == 0)
        leap(10);
    check("longjmp out of ten calls", got == 42 && before == 7);
    char text[] = "one, two,,three";
    int words = 0;
    for (char *word = strtok(text, ", "); word; word = strtok(NULL, ", "))
        words += (int)strlen(word);
    check("strtok", words == 11);
    char copy[64];
    bool good = true;
    for (int from = 0; from < 8; from++) {
        for (int length = 0; length < 40; length++) {
            char source[56];
            for (int i = 0; i < 56; i++)
                source[i] = (char)(i * 5);
            memset(copy, 1, sizeof copy);
            memcpy(copy + 3, source + from, (size_t)length);
            memmove(source + 2, source, (size_t)length);
            for (int i = 0; i < length; i++)
                good &= copy[3 + i] == (char)((from + i) * 5) && source[2 + i] == (char)(i * 5);
            good &= copy[2] == 1 && copy[3 + length] == 1;
        }
    }
    check("memcpy and memmove at all alignments", good);
    check("memcmp, memchr, strstr, strrchr", memcmp("abc", "abd", 3) < 0 && memchr("xyz", 'z', 3) != NULL
        && strcmp(strstr("needle in hay", "in"), "in hay") == 0 && strcmp(strrchr("a/b/c", '/'), "/c") == 0);
    srand(1);
    int first = rand();
    srand(1);
    check("rand repeats", first == rand());
    printf("printf itself: %d %s %.3f\n", 1, "two", 3.0);
    fflush(stdout);
}

int main(void)
{
    console_init();
    test_printf();
    test_strtod();
    test_malloc();
    test_sort();
    test_math();
    test_rest();
    return finish("t-newlib");
}

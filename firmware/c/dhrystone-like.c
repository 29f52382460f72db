/* A CPU workload of the Dhrystone class: records, pointers, short strings, enumerations, many small calls. It is this
 * project's own program, a little warehouse: orders come in by name, are found in a hash table of records, copied,
 * changed and put back. Its numbers compare with nothing but themselves.
 *
 * After every 64 orders the books must balance, and the end must be the checksum that the same code gives on the host
 * (cc -DHOST dhrystone-like.c). `iterations=N` on the semihosting command line; one iteration is 64 orders. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef BOARD_VIRT
/* There is no C library: virt.c has these. */
void *memset(void *to, int value, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
char *strcpy(char *to, const char *from);
#else
#include <string.h>
#endif

#ifndef ITERATIONS
#define ITERATIONS 320
#endif

/* The functions are the workload: kept apart, as they would be in a program of many files. */
#define CALL __attribute__((noinline))

enum kind { BOLT, NUT, GEAR, SPRING, KINDS };
enum order { BUY, SELL, MOVE, COUNT_UP, ORDERS };

struct part {
    struct part *next; /* in its bucket */
    struct part *twin; /* where MOVE moves to */
    enum kind kind;
    int32_t stock;
    int32_t price;
    char name[20];
    union {
        struct { int16_t length, width; } bolt;
        struct { uint8_t teeth, module; char grade; } gear;
        uint32_t raw;
    } detail;
};

enum { PARTS = 32, BUCKETS = 16 };

static struct part parts[PARTS];
static struct part *buckets[BUCKETS];
static int32_t money, pieces;
static uint32_t checksum;

static CALL unsigned hash(const char *name)
{
    unsigned h = 5381;
    while (*name)
        h = h * 33 ^ (uint8_t)*name++;
    return h % BUCKETS;
}

static CALL void make_name(char *name, unsigned n)
{
    static const char *const stems[KINDS] = { "BOLT, STEEL", "NUT, BRASS", "GEAR, BRONZE", "SPRING, WIRE" };
    strcpy(name, stems[n % KINDS]);
    size_t end = strlen(name);
    name[end] = ' ';
    name[end + 1] = (char)('A' + n / 10);
    name[end + 2] = (char)('0' + n % 10);
    name[end + 3] = 0;
}

static CALL struct part *find(const char *name)
{
    struct part *part = buckets[hash(name)];
    while (part && strcmp(part->name, name) != 0)
        part = part->next;
    return part;
}

static CALL int32_t value(const struct part *part)
{
    switch (part->kind) {
    case BOLT: return part->price + part->detail.bolt.length / 8 - part->detail.bolt.width;
    case GEAR: return part->price + part->detail.gear.teeth * part->detail.gear.module + (part->detail.gear.grade == 'A');
    case NUT: return part->price;
    default: return part->price + (int32_t)(part->detail.raw & 7);
    }
}

static CALL bool enough(const struct part *part, int32_t count)
{
    return part->stock >= count;
}

static CALL void take(struct part *part, int32_t count)
{
    part->stock -= count;
    pieces -= count;
    money += count * value(part);
}

static CALL void give(struct part *part, int32_t count)
{
    part->stock += count;
    pieces += count;
    money -= count * value(part);
}

static CALL void move(struct part *from, int32_t count)
{
    struct part before = *from; /* a whole record, as Dhrystone's heritage demands */
    if (!enough(&before, count))
        count = before.stock;
    from->stock -= count;
    from->twin->stock += count;
    if (before.twin->twin == from)
        from->detail.raw = before.detail.raw ^ (uint32_t)count << 28 >> 28;
}

static CALL enum order choose(unsigned n)
{
    return (enum order)((n * 7 + n / 5) % ORDERS);
}

static CALL bool serve(unsigned n)
{
    char name[20];
    make_name(name, n * 13 % PARTS);
    struct part *part = find(name);
    if (part == NULL)
        return false;
    int32_t count = (int32_t)(n % 9) + 1;
    switch (choose(n)) {
    case BUY: give(part, count); break;
    case SELL:
        if (enough(part, count))
            take(part, count);
        else
            give(part, 10 * count);
        break;
    case MOVE: move(part, count); break;
    default: part->price += part->price < 40 ? 1 : -30; break;
    }
    checksum = (checksum << 5 | checksum >> 27) ^ (uint32_t)money ^ (uint32_t)part->stock << 16 ^ part->detail.raw;
    return true;
}

static CALL bool balanced(void)
{
    int32_t sum = 0;
    for (int i = 0; i < PARTS; i++)
        sum += parts[i].stock;
    return sum == pieces;
}

static void open_books(void)
{
    memset(parts, 0, sizeof parts);
    memset(buckets, 0, sizeof buckets);
    money = pieces = 0;
    checksum = 1;
    for (unsigned i = 0; i < PARTS; i++) {
        struct part *part = &parts[i];
        make_name(part->name, i);
        part->kind = (enum kind)(i % KINDS);
        part->price = (int32_t)(i * 3 % 40);
        part->detail.raw = i * 0x01020304u;
        part->twin = &parts[(i + 5) % PARTS ^ 1];
        struct part **bucket = &buckets[hash(part->name)];
        part->next = *bucket;
        *bucket = part;
    }
}

/* How many of the iterations went wrong. */
static unsigned work(unsigned iterations)
{
    unsigned wrong = 0, n = 0;
    open_books();
    for (unsigned i = 0; i < iterations; i++) {
        bool good = true;
        for (int order = 0; order < 64; order++)
            good &= serve(n++);
        wrong += !(good && balanced());
    }
    return wrong;
}

#ifdef HOST
#include <stdio.h>

int main(void)
{
    unsigned wrong = work(ITERATIONS);
    printf("%u wrong, checksum 0x%08x\n", wrong, checksum);
    return wrong != 0;
}
#else
#include "lib.h"

static const uint32_t expected = 0xa0d569fe; /* for the default number of iterations */

int main(void)
{
    console_init();
    unsigned iterations = option("iterations", ITERATIONS);
    say("dhrystone-like on " BOARD_NAME ": %u iterations of 64 orders\n", iterations);
    cycles_start();
    uint64_t before = cycles();
    unsigned wrong = work(iterations);
    uint64_t taken = cycles() - before;
    bool good = wrong == 0 && (iterations != ITERATIONS || checksum == expected);
    say("checksum 0x%08x, %u of %u iterations right\n", (unsigned)checksum, iterations - wrong, iterations);
    if (taken >> 32 == 0)
        say("cycles %u by " CYCLES_BY "\n", (unsigned)taken);
    else
        say("cycles 0x%x%08x by " CYCLES_BY "\n", (unsigned)(taken >> 32), (unsigned)taken);
    say("%s dhrystone-like\n", good ? "PASS" : "FAIL");
    return !good;
}
#endif

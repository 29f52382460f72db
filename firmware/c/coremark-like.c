/* A CPU workload of the CoreMark class: linked list, matrix, state machine, CRC. It is this project's own program; its
 * numbers are not CoreMark scores and compare with nothing but themselves.
 *
 * Each iteration starts from one of four seeds and ends in a 16-bit result that must equal `expected`, which the same
 * code gives on the host (cc -DHOST coremark-like.c): so a wrong instruction anywhere shows at once.
 * `iterations=N` on the semihosting command line; the default takes about eight million instructions. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef ITERATIONS
#define ITERATIONS 40
#endif

/* --- CRC: CCITT polynomial, least significant bit first, as bits so that branches count --- */

static uint16_t crc_byte(uint16_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = crc & 1 ? crc >> 1 ^ 0x8408 : crc >> 1;
    return crc;
}

static uint16_t crc_word(uint16_t crc, uint32_t word)
{
    for (int shift = 0; shift < 32; shift += 8)
        crc = crc_byte(crc, (uint8_t)(word >> shift));
    return crc;
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u; /* Numerical Recipes' generator: cheap, and good enough to fill tables */
    return *state >> 8;
}

/* --- list: build, search, splice, reverse, and a merge sort by two orders --- */

enum { NODES = 96 };

struct node {
    struct node *next;
    uint16_t key;
    uint16_t place;
};

static struct node pool[NODES];

static bool by_key(const struct node *a, const struct node *b) { return a->key < b->key || (a->key == b->key && a->place < b->place); }
static bool by_place(const struct node *a, const struct node *b) { return a->place < b->place; }

static struct node *merge(struct node *a, struct node *b, bool (*before)(const struct node *, const struct node *))
{
    struct node *head = NULL, **tail = &head;
    while (a && b) {
        struct node **from = before(b, a) ? &b : &a;
        *tail = *from;
        tail = &(*from)->next;
        *from = *tail;
    }
    *tail = a ? a : b;
    return head;
}

/* Bottom-up: bin n holds a sorted run of 2^n nodes or nothing. */
static struct node *sort(struct node *list, bool (*before)(const struct node *, const struct node *))
{
    struct node *bins[8] = { 0 };
    while (list) {
        struct node *run = list;
        list = list->next;
        run->next = NULL;
        size_t n = 0;
        for (; n < 7 && bins[n]; n++) {
            run = merge(bins[n], run, before);
            bins[n] = NULL;
        }
        bins[n] = n == 7 && bins[n] ? merge(bins[n], run, before) : run;
    }
    struct node *sorted = NULL;
    for (size_t n = 0; n < 8; n++)
        sorted = merge(bins[n], sorted, before);
    return sorted;
}

static struct node *reverse(struct node *list)
{
    struct node *done = NULL;
    while (list) {
        struct node *rest = list->next;
        list->next = done;
        done = list;
        list = rest;
    }
    return done;
}

static uint16_t list_work(uint32_t seed, uint16_t crc)
{
    struct node *list = NULL;
    for (uint16_t i = 0; i < NODES; i++) {
        pool[i] = (struct node){ .next = list, .key = (uint16_t)(next_random(&seed) % 300), .place = i };
        list = &pool[i];
    }
    list = sort(list, by_key);
    for (struct node *n = list; n; n = n->next)
        crc = crc_word(crc, (uint32_t)n->key << 16 | n->place);
    /* Take out what a search finds, and hang it in front. */
    for (int i = 0; i < 24; i++) {
        uint16_t wanted = (uint16_t)(next_random(&seed) % 300);
        struct node **link = &list;
        while (*link && (*link)->key < wanted)
            link = &(*link)->next;
        struct node *found = *link;
        if (found == NULL)
            continue;
        *link = found->next;
        found->next = list;
        found->key = (uint16_t)(found->key / 2);
        list = found;
        crc = crc_byte(crc, (uint8_t)found->place);
    }
    list = sort(reverse(list), by_place);
    for (struct node *n = list; n; n = n->next)
        crc = crc_word(crc, n->key);
    return crc;
}

/* --- matrix: product, sum with a constant, bits of the product --- */

enum { SIDE = 12 };

static int16_t left[SIDE][SIDE], right[SIDE][SIDE];
static int32_t product[SIDE][SIDE];

static uint16_t matrix_work(uint32_t seed, uint16_t crc)
{
    for (int row = 0; row < SIDE; row++) {
        for (int column = 0; column < SIDE; column++) {
            left[row][column] = (int16_t)(next_random(&seed) & 0x3ff);
            right[row][column] = (int16_t)((int32_t)(next_random(&seed) & 0x7ff) - 0x400);
        }
    }
    for (int pass = 0; pass < 3; pass++) {
        int32_t low = 0, high = 0;
        for (int row = 0; row < SIDE; row++) {
            for (int column = 0; column < SIDE; column++) {
                int32_t sum = 0;
                for (int k = 0; k < SIDE; k++)
                    sum += left[row][k] * right[k][column];
                product[row][column] = sum;
                low = sum < low ? sum : low;
                high = sum > high ? sum : high;
            }
        }
        crc = crc_word(crc_word(crc, (uint32_t)low), (uint32_t)high);
        for (int row = 0; row < SIDE; row++) {
            for (int column = 0; column < SIDE; column++) {
                uint32_t bits = (uint32_t)product[row][column];
                left[row][column] = (int16_t)((bits >> 3 & 0x3f) * (bits >> 11 & 0x1f));
                right[column][row] = (int16_t)(right[column][row] / 3 + pass * 7 + 1);
            }
        }
    }
    uint64_t trace = 0;
    for (int i = 0; i < SIDE; i++)
        trace += (uint64_t)(uint32_t)product[i][i] * (uint32_t)left[i][i];
    return crc_word(crc_word(crc, (uint32_t)trace), (uint32_t)(trace >> 32));
}

/* --- state machine: which numbers, names and junk a text holds --- */

enum state { START, SIGN, INTEGER, POINT, FRACTION, EXPONENT, EXPONENT_SIGN, POWER, NAME, JUNK, STATES };

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

static enum state step(enum state state, char c)
{
    switch (state) {
    case START:
        return is_digit(c) ? INTEGER : c == '+' || c == '-' ? SIGN : c == '.' ? POINT : is_letter(c) ? NAME : JUNK;
    case SIGN: return is_digit(c) ? INTEGER : c == '.' ? POINT : JUNK;
    case INTEGER: return is_digit(c) ? INTEGER : c == '.' ? FRACTION : c == 'e' ? EXPONENT : JUNK;
    case POINT: return is_digit(c) ? FRACTION : JUNK;
    case FRACTION: return is_digit(c) ? FRACTION : c == 'e' ? EXPONENT : JUNK;
    case EXPONENT: return is_digit(c) ? POWER : c == '+' || c == '-' ? EXPONENT_SIGN : JUNK;
    case EXPONENT_SIGN:
    case POWER: return is_digit(c) ? POWER : JUNK;
    case NAME: return is_letter(c) || is_digit(c) ? NAME : JUNK;
    default: return JUNK;
    }
}

static uint16_t state_work(uint32_t seed, uint16_t crc)
{
    static const char *const words[] = { "1984", "-12.75", "+.5e-3", "6e23", "x", "loop2", "3..1", "--7", "0.", "e5", "7e+", "#!" };
    uint32_t ends[STATES] = { 0 }, moves[STATES] = { 0 };
    char text[512];
    size_t length = 0;
    while (length < sizeof text - 8) {
        const char *word = words[next_random(&seed) % (sizeof words / sizeof *words)];
        while (*word)
            text[length++] = *word++;
        text[length++] = ',';
    }
    for (int pass = 0; pass < 2; pass++) {
        enum state state = START;
        for (size_t i = 0; i < length; i++) {
            if (text[i] == ',') {
                ends[state]++;
                state = START;
            } else {
                enum state next = step(state, text[i]);
                moves[next] += next != state;
                state = next;
            }
        }
        /* Damage some of it, so that the second pass goes other ways. */
        for (size_t i = seed % 7; i < length; i += 11)
            text[i] = text[i] == ',' ? ',' : (char)(text[i] ^ 1);
    }
    for (int i = 0; i < STATES; i++)
        crc = crc_word(crc, ends[i] << 16 | (moves[i] & 0xffff));
    return crc;
}

/* --- all of it --- */

static const uint32_t seeds[4] = { 0x00000000, 0x12345678, 0xdeadbeef, 0x7fffffff };

static uint16_t iteration(uint32_t seed)
{
    return state_work(seed, matrix_work(seed, list_work(seed, 0xffff)));
}

#ifdef HOST
#include <stdio.h>

int main(void)
{
    for (int i = 0; i < 4; i++)
        printf("0x%04x%s", iteration(seeds[i]), i < 3 ? ", " : "\n");
    return 0;
}
#else
#include "lib.h"

static const uint16_t expected[4] = { 0xab02, 0x12a2, 0x2872, 0x1f1b };

int main(void)
{
    console_init();
    unsigned iterations = option("iterations", ITERATIONS), wrong = 0;
    uint16_t checksum = 0;
    say("coremark-like on " BOARD_NAME ": %u iterations\n", iterations);
    bool dwt = dwt_start();
    cycles_start();
    uint32_t dwt_before = dwt ? DWT_CYCCNT : 0;
    uint64_t before = cycles();
    for (unsigned i = 0; i < iterations; i++) {
        uint16_t result = iteration(seeds[i % 4]);
        wrong += result != expected[i % 4];
        checksum = crc_word(checksum, result);
    }
    uint64_t taken = cycles() - before;
    uint32_t dwt_taken = dwt ? DWT_CYCCNT - dwt_before : 0;
    say("checksum 0x%04x, %u of %u iterations right\n", checksum, iterations - wrong, iterations);
    if (taken >> 32 == 0)
        say("cycles %u by " CYCLES_BY, (unsigned)taken);
    else
        say("cycles 0x%x%08x by " CYCLES_BY, (unsigned)(taken >> 32), (unsigned)taken);
    if (dwt)
        say(", %u by DWT (32 bits)\n", (unsigned)dwt_taken);
    else
        say(", DWT does not count\n");
    say("%s coremark-like\n", wrong == 0 ? "PASS" : "FAIL");
    return wrong != 0;
}
#endif

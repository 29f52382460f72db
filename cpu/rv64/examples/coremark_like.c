/* A program of the CoreMark class in our own words: list search and sort, matrix products, a state machine over text, CRC.
 * Runs freestanding on any RV64GC hart with RAM at 0x80000000; the result goes out by semihosting SYS_EXIT.
 * Build: see build.sh beside it. */
#include <stdint.h>

#ifndef ROUNDS
#define ROUNDS 600
#endif

struct node { struct node *next; int16_t value; uint16_t index; };

static struct node nodes[64];
static int16_t a[12][12], b[12][12];
static int32_t product[12][12];
static volatile uint32_t sink;

static uint16_t crc16(uint16_t crc, uint32_t v, int bits)
{
    while (bits--) {
        uint32_t x = (v ^ crc) & 1;
        v >>= 1;
        crc >>= 1;
        if (x)
            crc ^= 0xa001;
    }
    return crc;
}

static struct node *build(uint32_t seed)
{
    struct node *head = 0;
    for (int i = 0; i < 64; i++) {
        seed = seed * 1103515245u + 12345u;
        nodes[i].value = (int16_t)(seed >> 16);
        nodes[i].index = (uint16_t)i;
        nodes[i].next = head;
        head = &nodes[i];
    }
    return head;
}

static struct node *merge(struct node *x, struct node *y)
{
    struct node top, *tail = &top;
    while (x && y) {
        if (x->value <= y->value) { tail->next = x; x = x->next; }
        else { tail->next = y; y = y->next; }
        tail = tail->next;
    }
    tail->next = x ? x : y;
    return top.next;
}

static struct node *sort(struct node *list)
{
    if (!list || !list->next)
        return list;
    struct node *slow = list, *fast = list->next;
    while (fast && fast->next) { slow = slow->next; fast = fast->next->next; }
    struct node *half = slow->next;
    slow->next = 0;
    return merge(sort(list), sort(half));
}

static struct node *find(struct node *list, int16_t value)
{
    while (list && list->value != value)
        list = list->next;
    return list;
}

static uint16_t matrix(uint16_t crc, int16_t seed)
{
    for (int i = 0; i < 12; i++)
        for (int j = 0; j < 12; j++) {
            a[i][j] = (int16_t)(seed + i * j);
            b[i][j] = (int16_t)(seed ^ (i + (j << 3)));
        }
    for (int i = 0; i < 12; i++)
        for (int j = 0; j < 12; j++) {
            int32_t sum = 0;
            for (int k = 0; k < 12; k++)
                sum += (int32_t)a[i][k] * b[k][j];
            product[i][j] = sum;
        }
    int32_t total = 0;
    for (int i = 0; i < 12; i++)
        for (int j = 0; j < 12; j++) {
            int32_t p = product[i][j];
            total += (p >> 2 & 15) * (p >> 5 & 127);
            if (total > 100000)
                total -= p & 0xff;
        }
    return crc16(crc, (uint32_t)total, 32);
}

enum state { START, SIGN, INT, FRACTION, EXPONENT, DIGITS, BAD };

static const char text[] = "5012,1e3,-874.5,+122,0.5e-500,-.123,-110.700,T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^,5.500e+3,";

static uint16_t machine(uint16_t crc)
{
    uint32_t seen[7] = { 0 };
    enum state s = START;
    for (const char *p = text; *p; p++) {
        char c = *p;
        if (c == ',') { seen[s]++; s = START; continue; }
        int digit = c >= '0' && c <= '9';
        switch (s) {
        case START: s = digit ? INT : c == '-' || c == '+' ? SIGN : c == '.' ? FRACTION : BAD; break;
        case SIGN: s = digit ? INT : c == '.' ? FRACTION : BAD; break;
        case INT: s = digit ? INT : c == '.' ? FRACTION : c == 'e' ? EXPONENT : BAD; break;
        case FRACTION: s = digit ? FRACTION : c == 'e' ? EXPONENT : BAD; break;
        case EXPONENT: s = digit || c == '-' || c == '+' ? DIGITS : BAD; break;
        case DIGITS: s = digit ? DIGITS : BAD; break;
        case BAD: break;
        }
    }
    for (int i = 0; i < 7; i++)
        crc = crc16(crc, seen[i], 16);
    return crc;
}

__attribute__((used)) uint32_t run(void)
{
    uint16_t crc = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct node *list = build(round);
        for (int i = 0; i < 16; i++) {
            struct node *n = find(list, (int16_t)(i * 37));
            crc = crc16(crc, n ? n->index : 0xffff, 16);
        }
        list = sort(list);
        for (struct node *n = list; n; n = n->next)
            crc = crc16(crc, (uint16_t)n->value, 16);
        crc = matrix(crc, (int16_t)round);
        crc = machine(crc);
        sink = crc;
    }
    return crc;
}

extern char stack_top[];

__attribute__((section(".start"), naked, used)) void reset(void)
{
    __asm__("la sp, stack_top\n"
            "call run\n"
            "mv a1, a0\n"
            "li a0, 0x18\n"
            ".option push\n.option norvc\n"
            ".balign 16\n"
            "slli zero, zero, 0x1f\n"
            "ebreak\n"
            "srai zero, zero, 7\n"
            ".option pop\n"
            "1: j 1b\n");
}

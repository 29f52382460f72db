/* A process of Linux that moves bytes over the network, for benchmarks: the other side is `southbridge-bench`, which also takes the time.
 *
 *   net-bench to=ADDRESS port=N do=send|receive|tcp|udp amount=N
 *
 * `send` and `receive` move so many times 64 KiB over one TCP connection; `tcp` and `udp` send one byte and wait for it so many times. A
 * connection begins with one word that says what it is for. `ready` is printed before the first byte, `done` behind the last one. */
#include "lib.h"

void *memset(void *to, int value, size_t n);

/* Linux's asm-generic system calls and constants. */
enum { SYS_READ = 63, SYS_WRITE = 64, SYS_SOCKET = 198, SYS_CONNECT = 203, SYS_SETSOCKOPT = 208 };
enum { AF_INET = 2, SOCK_STREAM = 1, SOCK_DGRAM = 2, SOL_SOCKET = 1, SO_RCVTIMEO = 20, IPPROTO_TCP = 6, TCP_NODELAY = 1 };

/* What the first word of a connection says, and how much follows: see bench/src/guest_net.rs. */
struct head {
    uint32_t what;
    uint32_t amount;
};

static char buffer[64 << 10];

static long call(long number, long first, long second, long third, long fourth, long fifth)
{
    register long a0 __asm("a0") = first;
    register long a1 __asm("a1") = second;
    register long a2 __asm("a2") = third;
    register long a3 __asm("a3") = fourth;
    register long a4 __asm("a4") = fifth;
    register long a7 __asm("a7") = number;
    __asm volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a7) : "memory");
    return a0;
}

static _Noreturn void fail(const char *what, long result)
{
    say("net-bench: %s: error %d\n", what, (int)-result);
    quit(1);
}

static void all(long number, int fd, size_t count)
{
    for (size_t done = 0; done < count;) {
        long n = call(number, fd, (long)(buffer + done), (long)(count - done), 0, 0);
        if (n <= 0)
            fail(number == SYS_READ ? "read" : "write", n);
        done += (size_t)n;
    }
}

/* The number of an address in dots, in the order of the network. */
static uint32_t address(const char *text)
{
    uint8_t bytes[4] = { 0 };
    for (int i = 0; *text && i < 4; text++) {
        if (*text == '.')
            i++;
        else
            bytes[i] = (uint8_t)(bytes[i] * 10 + (*text - '0'));
    }
    uint32_t all = 0;
    for (int i = 3; i >= 0; i--)
        all = all << 8 | bytes[i];
    return all;
}

static int open_socket(int type)
{
    char to[32];
    if (!option_text("to", to, sizeof to))
        fail("no to=", 0);
    unsigned port = option("port", 0);
    struct {
        uint16_t family;
        uint16_t port;
        uint32_t address;
        uint8_t zero[8];
    } peer = { AF_INET, (uint16_t)(port >> 8 | port << 8), address(to), { 0 } };
    long fd = call(SYS_SOCKET, AF_INET, type, 0, 0, 0);
    if (fd < 0)
        fail("socket", fd);
    long result = call(SYS_CONNECT, fd, (long)&peer, sizeof peer, 0, 0);
    if (result < 0)
        fail("connect", result);
    return (int)fd;
}

static int open_stream(uint32_t what, uint32_t amount)
{
    int fd = open_socket(SOCK_STREAM), on = 1;
    call(SYS_SETSOCKOPT, fd, IPPROTO_TCP, TCP_NODELAY, (long)&on, sizeof on);
    struct head head = { what, amount };
    call(SYS_WRITE, fd, (long)&head, sizeof head, 0, 0);
    /* The other side says that it is there, so that what follows is nothing but what is measured. */
    all(SYS_READ, fd, 1);
    say("ready\n");
    return fd;
}

/* A datagram may be lost: it is sent again after a second. */
static void datagrams(unsigned rounds)
{
    int fd = open_socket(SOCK_DGRAM);
    long second[2] = { 1, 0 };
    call(SYS_SETSOCKOPT, fd, SOL_SOCKET, SO_RCVTIMEO, (long)second, sizeof second);
    for (unsigned i = 0; i <= rounds; i++) {
        do {
            call(SYS_WRITE, fd, (long)buffer, 1, 0, 0);
        } while (call(SYS_READ, fd, (long)buffer, 1, 0, 0) != 1);
        /* The first one finds the way. */
        if (i == 0)
            say("ready\n");
    }
}

int main(void)
{
    char what[16];
    if (!option_text("do", what, sizeof what))
        fail("no do=", 0);
    uint32_t amount = option("amount", 1);
    memset(buffer, 'b', sizeof buffer);
    if (what[0] == 'u') {
        datagrams(amount);
    } else if (what[0] == 't') {
        int fd = open_stream('t', amount);
        for (unsigned i = 0; i < amount; i++) {
            all(SYS_WRITE, fd, 1);
            all(SYS_READ, fd, 1);
        }
    } else {
        bool sends = what[0] == 's';
        int fd = open_stream((uint32_t)what[0], amount);
        for (unsigned i = 0; i < amount; i++)
            all(sends ? SYS_WRITE : SYS_READ, fd, sizeof buffer);
        /* Sent is what the other side has: it says so. */
        if (sends)
            all(SYS_READ, fd, 1);
    }
    say("done\n");
    return 0;
}

/* libslirp alone, as a peer for our NAT: a scripted guest that does no more than TCP needs, against a sink or a source on the host's loopback.
 *
 *   nat up|down PORT SECONDS
 *
 * connects to 10.0.2.2:PORT, moves bytes for so long, and prints bytes, nanoseconds of the wall clock and nanoseconds of processor time of
 * this thread, which runs library and guest alike. bench/src/nat/ has the same guest for ours, compiles this file where libslirp and a C
 * compiler are installed, and plays the host. */
#include <slirp/libslirp.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HEADERS = 54, PAYLOAD = 1460, BATCH = 64, FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static struct {
    uint16_t port;
    uint32_t seq, acked, window, ack;
    unsigned scale;
    int connected, has_news;
    uint64_t received;
    /* A full segment, and the sum of its payload. */
    uint8_t frame[HEADERS + PAYLOAD];
    uint32_t payload_sum;
} guest;

static int64_t clock_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* --- the guest --- */

static uint32_t sum(const uint8_t *data, size_t length)
{
    uint32_t total = 0;
    for (size_t i = 0; i + 1 < length; i += 2)
        total += (uint32_t)(data[i] << 8 | data[i + 1]);
    return length & 1 ? total + (uint32_t)(data[length - 1] << 8) : total;
}

static uint16_t fold(uint32_t total)
{
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return (uint16_t)total;
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)(value >> 16));
    put16(at + 2, (uint16_t)value);
}

static uint32_t get16(const uint8_t *at) { return (uint32_t)(at[0] << 8 | at[1]); }
static uint32_t get32(const uint8_t *at) { return get16(at) << 16 | get16(at + 2); }

static void guest_begin(uint16_t port)
{
    static const uint8_t start[34] = {
        0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2,
    };
    memcpy(guest.frame, start, sizeof start);
    for (int i = 0; i < PAYLOAD; i++)
        guest.frame[HEADERS + i] = (uint8_t)i;
    guest.payload_sum = fold(sum(guest.frame + HEADERS, PAYLOAD));
    guest.port = port;
    guest.seq = guest.acked = 1000;
}

static void guest_send(Slirp *slirp, unsigned flags, unsigned payload)
{
    uint8_t *f = guest.frame;
    unsigned length = HEADERS - 14 + payload;
    put16(f + 16, (uint16_t)length);
    put16(f + 24, 0);
    put16(f + 24, (uint16_t)~fold(sum(f + 14, 20)));
    put16(f + 34, 40000);
    put16(f + 36, guest.port);
    put32(f + 38, guest.seq);
    put32(f + 42, guest.ack);
    f[46] = 0x50;
    f[47] = (uint8_t)flags;
    put16(f + 48, 0xffff);
    put32(f + 50, 0);
    uint32_t total = sum(f + 26, 8) + 6 + length - 20 + sum(f + 34, 20) + (payload ? guest.payload_sum : 0);
    put16(f + 50, (uint16_t)~fold(total));
    slirp_input(slirp, f, (int)(HEADERS + payload));
    guest.seq += payload + (flags & SYN ? 1 : 0);
}

/* What the library sends to the guest. */
static ssize_t guest_take(const void *buffer, size_t length, void *opaque)
{
    (void)opaque;
    const uint8_t *f = buffer;
    if (length < HEADERS || get16(f + 12) != 0x800 || f[23] != 6)
        return (ssize_t)length;
    uint32_t seq = get32(f + 38), window = get16(f + 48);
    unsigned flags = f[47], payload = get16(f + 16) - 40;
    if (flags & RST) {
        fputs("a reset\n", stderr);
        exit(1);
    }
    guest.acked = get32(f + 42);
    guest.window = window;
    if (flags & SYN) {
        guest.connected = 1;
        guest.ack = seq + 1;
        guest.has_news = 1;
    } else if (payload > 0 && seq == guest.ack) {
        guest.ack += payload;
        guest.received += payload;
        guest.has_news = 1;
    }
    return (ssize_t)length;
}

/* --- what the library wants of its surroundings --- */

static struct pollfd polled[64];
static int polled_count;

static int add_poll(int fd, int events, void *opaque)
{
    (void)opaque;
    short wanted = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) | (events & SLIRP_POLL_PRI ? POLLPRI : 0));
    polled[polled_count] = (struct pollfd){ fd, wanted, 0 };
    return polled_count++;
}

static int get_events(int index, void *opaque)
{
    (void)opaque;
    short r = polled[index].revents;
    return (r & POLLIN ? SLIRP_POLL_IN : 0) | (r & POLLOUT ? SLIRP_POLL_OUT : 0) | (r & POLLPRI ? SLIRP_POLL_PRI : 0) |
           (r & POLLERR ? SLIRP_POLL_ERR : 0) | (r & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static void guest_error(const char *message, void *opaque) { (void)opaque; fprintf(stderr, "%s\n", message); }
static int64_t now(void *opaque) { (void)opaque; return clock_of(CLOCK_MONOTONIC); }
static void *timer_new(SlirpTimerCb cb, void *cb_opaque, void *opaque) { (void)cb; (void)cb_opaque; return opaque; }
static void timer_free(void *timer, void *opaque) { (void)timer; (void)opaque; }
static void timer_mod(void *timer, int64_t at, void *opaque) { (void)timer; (void)at; (void)opaque; }
static void for_fd(int fd, void *opaque) { (void)fd; (void)opaque; }
static void notify(void *opaque) { (void)opaque; }

static void turn(Slirp *slirp, int idle)
{
    uint32_t timeout = idle ? 1 : 0;
    polled_count = 0;
    slirp_pollfds_fill(slirp, &timeout, add_poll, NULL);
    int result = poll(polled, (nfds_t)polled_count, idle ? 1 : 0);
    slirp_pollfds_poll(slirp, result < 0, get_events, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int up = strcmp(argv[1], "up") == 0;
    double seconds = atof(argv[3]);
    static const SlirpCb callbacks = {
        .send_packet = guest_take, .guest_error = guest_error, .clock_get_ns = now, .timer_new = timer_new, .timer_free = timer_free,
        .timer_mod = timer_mod, .register_poll_fd = for_fd, .unregister_poll_fd = for_fd, .notify = notify,
    };
    SlirpConfig config = { .version = 1, .in_enabled = true };
    inet_aton("10.0.2.0", &config.vnetwork);
    inet_aton("255.255.255.0", &config.vnetmask);
    inet_aton("10.0.2.2", &config.vhost);
    inet_aton("10.0.2.15", &config.vdhcp_start);
    inet_aton("10.0.2.3", &config.vnameserver);
    Slirp *slirp = slirp_new(&config, &callbacks, NULL);
    guest_begin((uint16_t)atoi(argv[2]));
    /* The library asks for the guest's address first, and learns it from an ARP request. */
    static const uint8_t who_has[42] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
        0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
    };
    slirp_input(slirp, who_has, sizeof who_has);
    guest_send(slirp, SYN, 0);
    while (!guest.connected)
        turn(slirp, 1);
    guest_send(slirp, ACK, 0);
    int64_t wall = clock_of(CLOCK_MONOTONIC), cpu = clock_of(CLOCK_THREAD_CPUTIME_ID), end = wall + (int64_t)(seconds * 1e9);
    uint64_t sent = 0;
    int idle = 0;
    while (clock_of(CLOCK_MONOTONIC) < end) {
        int batch = 0;
        for (; up && batch < BATCH && guest.seq - guest.acked + PAYLOAD <= guest.window; batch++)
            guest_send(slirp, ACK, PAYLOAD);
        sent += (uint64_t)batch * PAYLOAD;
        turn(slirp, up ? batch == 0 : idle);
        idle = !guest.has_news;
        /* What the library sends at once, when it is given the acknowledgement, is news for the next turn. */
        int acknowledges = !up && guest.has_news;
        guest.has_news = 0;
        if (acknowledges)
            guest_send(slirp, ACK, 0);
    }
    printf("%llu %lld %lld\n", (unsigned long long)(up ? sent : guest.received), (long long)(clock_of(CLOCK_MONOTONIC) - wall),
           (long long)(clock_of(CLOCK_THREAD_CPUTIME_ID) - cpu));
    return 0;
}

/* The board's Ethernet: an address by DHCP, or a fixed one, then one TCP connection whose bytes come back from the other side.
 *
 * Options: port=7 of the server, server=a.b.c.d (default: the router that DHCP told), bytes=4096 to send and get back;
 * address=a.b.c.d leaves DHCP out; listen=1 is the server instead, one connection long.
 * Formats: RFC 826 (ARP), 791 (IPv4), 2131 (DHCP), 9293 (TCP). One segment at a time is on its way, which is slow and short. */
#include "lib.h"

#include <string.h>

/* --- the controllers: a frame out, a frame in, an interrupt when one is there --- */

static uint8_t mac[6];

#if defined(BOARD_LM3S6965EVB)
/* LM3S6965 data sheet, chapter "Ethernet Controller". */
enum { IRQ_NET = 42 };
#define RIS REG(0x40048000)
#define IM REG(0x40048004)
#define RCTL REG(0x40048008)
#define TCTL REG(0x4004800c)
#define FIFO REG(0x40048010)
#define IA0 REG(0x40048014)
#define IA1 REG(0x40048018)
#define NP REG(0x40048034)
#define TR REG(0x40048038)

static void nic_start(void)
{
    for (unsigned i = 0; i < 6; i++)
        mac[i] = (uint8_t)((i < 4 ? IA0 >> 8 * i : IA1 >> 8 * (i - 4)));
    IM = 1;
    TCTL = 0x17; /* transmitter, padding, check sequence, full duplex */
    RCTL = 1;
}

static void nic_send(const uint8_t *frame, unsigned length)
{
    while (TR & 1)
        ;
    uint32_t word = length - 14;
    unsigned at = 16;
    for (unsigned i = 0; i < length; i++) {
        word |= (uint32_t)frame[i] << at;
        at += 8;
        if (at == 32) {
            FIFO = word;
            word = 0;
            at = 0;
        }
    }
    if (at != 0)
        FIFO = word;
    TR = 1;
}

static unsigned nic_receive(uint8_t *frame, unsigned room)
{
    RIS = 1;
    if (NP == 0)
        return 0;
    uint32_t word = FIFO;
    unsigned length = (word & 0xffff) - 6, left = (word & 0xffff) - 2, at = 16;
    for (unsigned i = 0; i < left; i++) {
        if (at == 32) {
            word = FIFO;
            at = 0;
        }
        if (i < length && i < room)
            frame[i] = (uint8_t)(word >> at);
        at += 8;
    }
    return length < room ? length : room;
}
#else
/* LAN9118 data sheet, chapter 5. */
enum { IRQ_NET = 13 };
#define BASE 0x40200000
#define RX_DATA REG(BASE)
#define TX_DATA REG(BASE + 0x20)
#define RX_STATUS REG(BASE + 0x40)
#define TX_STATUS REG(BASE + 0x48)
#define IRQ_CFG REG(BASE + 0x54)
#define INT_STS REG(BASE + 0x58)
#define INT_EN REG(BASE + 0x5c)
#define FIFO_INT REG(BASE + 0x68)
#define TX_CFG REG(BASE + 0x70)
#define HW_CFG REG(BASE + 0x74)
#define RX_INF REG(BASE + 0x7c)
#define TX_INF REG(BASE + 0x80)
#define MAC_CMD REG(BASE + 0xa4)
#define MAC_DATA REG(BASE + 0xa8)

static void mac_wait(void)
{
    while (MAC_CMD >> 31)
        ;
}
static uint32_t mac_read(unsigned n)
{
    MAC_CMD = 3u << 30 | n;
    mac_wait();
    return MAC_DATA;
}
static void mac_write(unsigned n, uint32_t value)
{
    MAC_DATA = value;
    MAC_CMD = 1u << 31 | n;
    mac_wait();
}

static void nic_start(void)
{
    HW_CFG = 1;
    while (HW_CFG & 1)
        ;
    HW_CFG = 5 << 16 | 1 << 20;
    uint32_t low = mac_read(3), high = mac_read(2);
    for (unsigned i = 0; i < 6; i++)
        mac[i] = (uint8_t)(i < 4 ? low >> 8 * i : high >> 8 * (i - 4));
    FIFO_INT = 0;
    INT_STS = ~0u;
    INT_EN = 1 << 3;
    IRQ_CFG = 0x111; /* on, active high, push-pull */
    TX_CFG = 2;
    mac_write(1, 1 << 2 | 1 << 3);
}

static void nic_send(const uint8_t *frame, unsigned length)
{
    while (TX_INF >> 16 & 0xff)
        (void)TX_STATUS;
    TX_DATA = 3 << 12 | length;
    TX_DATA = length;
    for (unsigned i = 0; i < length; i += 4) {
        uint32_t word = 0;
        memcpy(&word, frame + i, length - i < 4 ? length - i : 4);
        TX_DATA = word;
    }
}

static unsigned nic_receive(uint8_t *frame, unsigned room)
{
    INT_STS = 1 << 3;
    if ((RX_INF >> 16 & 0xff) == 0)
        return 0;
    unsigned length = RX_STATUS >> 16 & 0x3fff;
    for (unsigned i = 0; i < length; i += 4) {
        uint32_t word = RX_DATA;
        for (unsigned j = 0; j < 4 && i + j < length && i + j < room; j++)
            frame[i + j] = (uint8_t)(word >> 8 * j);
    }
    length -= 4;
    return length < room ? length : room;
}
#endif

void irq(unsigned n) { irq_disable(n); }

/* --- bytes in network order --- */

static void put16(uint8_t *p, unsigned v) { p[0] = (uint8_t)(v >> 8); p[1] = (uint8_t)v; }
static void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16); put16(p + 2, v & 0xffff); }
static unsigned get16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }

static uint32_t sum(uint32_t start, const uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i + 1 < n; i += 2)
        start += get16(p + i);
    return n & 1 ? start + (uint32_t)(p[n - 1] << 8) : start;
}
static unsigned fold(uint32_t s)
{
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return ~s & 0xffff;
}

/* --- the link: who we are, who the next hop is --- */

enum { ETHER = 14, IP = 20, ROOM = 1600 };
static uint8_t in[ROOM], out[ROOM];
static uint8_t peer_mac[6];
static uint32_t own_ip, mask, router, peer_ip;
static bool peer_known;

static uint64_t now_ms(void) { return cycles() / (CPU_HZ / 1000); }

static void ether(const uint8_t *to, unsigned type)
{
    memcpy(out, to, 6);
    memcpy(out + 6, mac, 6);
    put16(out + 12, type);
}

static void arp(unsigned operation, const uint8_t *to, uint32_t ip)
{
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, kind[6] = {0, 1, 8, 0, 6, 4};
    ether(operation == 1 ? all : to, 0x0806);
    memcpy(out + 14, kind, 6);
    put16(out + 20, operation);
    memcpy(out + 22, mac, 6);
    put32(out + 28, own_ip);
    memcpy(out + 32, to, 6);
    put32(out + 38, ip);
    nic_send(out, 42);
}

/* Sends what lies behind the headers; `transport` bytes of it. */
static void ip_send(const uint8_t *to_mac, uint32_t to, unsigned protocol, unsigned transport)
{
    static unsigned number;
    uint8_t *p = out + ETHER;
    ether(to_mac, 0x0800);
    memset(p, 0, IP);
    p[0] = 0x45;
    put16(p + 2, IP + transport);
    put16(p + 4, ++number);
    p[8] = 64;
    p[9] = (uint8_t)protocol;
    put32(p + 12, own_ip);
    put32(p + 16, to);
    put16(p + 10, fold(sum(0, p, IP)));
    uint8_t *t = p + IP, *field = t + (protocol == 6 ? 16 : 6);
    put16(field, 0);
    put16(field, fold(sum(sum(protocol + transport, p + 12, 8), t, transport)));
    nic_send(out, ETHER + IP + transport);
}

/* Waits for a packet of the protocol until the time; answers questions for our address meanwhile. The transport header, or NULL. */
static uint8_t *receive(unsigned protocol, uint64_t until, unsigned *length)
{
    while (now_ms() < until) {
        unsigned n = nic_receive(in, ROOM);
        if (n == 0) {
            /* Masked first: an interrupt that was left over would be served here, and disabled again before the sleep. */
            irq_off();
            irq_enable(IRQ_NET);
            wfi();
            irq_on();
            continue;
        }
        uint8_t *p = in + ETHER;
        if (n >= 42 && get16(in + 12) == 0x0806) {
            if (get16(p + 6) == 1 && get32(p + 24) == own_ip && own_ip != 0) {
                uint8_t who[6];
                memcpy(who, p + 8, 6);
                arp(2, who, get32(p + 14));
            } else if (get16(p + 6) == 2 && get32(p + 14) == peer_ip) {
                memcpy(peer_mac, p + 8, 6);
                peer_known = true;
                if (protocol == 0)
                    return p;
            }
            continue;
        }
        unsigned header = (p[0] & 15) * 4u, whole = get16(p + 2);
        if (n < ETHER + IP || get16(in + 12) != 0x0800 || p[9] != protocol || header < IP || whole < header || ETHER + whole > n)
            continue;
        if (fold(sum(0, p, header)) != 0)
            continue;
        *length = whole - header;
        /* RFC 768: a datagram whose field is zero has no checksum; passt sends such. */
        bool has_none = protocol == 17 && *length >= 8 && get16(p + header + 6) == 0;
        if (!has_none && fold(sum(sum(protocol + *length, p + 12, 8), p + header, *length)) != 0) {
            say("a wrong checksum\n");
            continue;
        }
        return p + header;
    }
    return NULL;
}

static void show(const char *what, uint32_t ip)
{
    say("%s %u.%u.%u.%u\n", what, (unsigned)(ip >> 24), (unsigned)(ip >> 16 & 255), (unsigned)(ip >> 8 & 255), (unsigned)(ip & 255));
}

/* --- DHCP --- */

static const uint8_t *dhcp_option(const uint8_t *p, unsigned n, unsigned which)
{
    for (unsigned i = 240; i + 1 < n && p[i] != 255; i += p[i] == 0 ? 1 : 2u + p[i + 1])
        if (p[i] == which && i + 2 + p[i + 1] <= n)
            return p + i + 2;
    return NULL;
}

static void dhcp_send(unsigned kind, uint32_t wanted, uint32_t server)
{
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
    uint8_t *u = out + ETHER + IP, *d = u + 8, *o = d + 240;
    memset(u, 0, 300);
    d[0] = 1, d[1] = 1, d[2] = 6;
    put32(d + 4, 0x5b5b0001);
    put16(d + 10, 0x8000); /* answers to everybody: we have no address yet */
    memcpy(d + 28, mac, 6);
    put32(d + 236, 0x63825363);
    *o++ = 53, *o++ = 1, *o++ = (uint8_t)kind;
    *o++ = 55, *o++ = 2, *o++ = 1, *o++ = 3;
    if (kind == 3) {
        *o++ = 50, *o++ = 4, put32(o, wanted), o += 4;
        *o++ = 54, *o++ = 4, put32(o, server), o += 4;
    }
    *o++ = 255;
    unsigned length = 8 + 292;
    put16(u, 68);
    put16(u + 2, 67);
    put16(u + 4, length);
    ip_send(all, 0xffffffff, 17, length);
}

static bool dhcp(void)
{
    uint32_t offered = 0, server = 0;
    for (unsigned attempt = 0, kind = 1; attempt < 20; attempt++) {
        dhcp_send(kind, offered, server);
        uint64_t until = now_ms() + 500;
        unsigned n;
        for (uint8_t *u; (u = receive(17, until, &n)) != NULL;) {
            const uint8_t *d = u + 8, *o;
            if (n < 8 + 241 || get16(u + 2) != 68 || get32(d + 4) != 0x5b5b0001)
                continue;
            n -= 8;
            o = dhcp_option(d, n, 53);
            if (o != NULL && *o == 2 && kind == 1) {
                offered = get32(d + 16);
                o = dhcp_option(d, n, 54);
                server = o != NULL ? get32(o) : 0;
                kind = 3;
                break;
            }
            if (o != NULL && *o == 5 && kind == 3) {
                own_ip = get32(d + 16);
                o = dhcp_option(d, n, 1);
                mask = o != NULL ? get32(o) : 0xffffff00;
                o = dhcp_option(d, n, 3);
                router = o != NULL ? get32(o) : 0;
                return true;
            }
        }
    }
    return false;
}

/* --- TCP: one connection, one segment at a time --- */

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16, MSS = 1000, WINDOW = 1000 };
static unsigned own_port, peer_port;
static uint32_t sent, acknowledged, expected;
static bool peer_closed;

static void segment(unsigned flags, const uint8_t *data, unsigned n)
{
    uint8_t *t = out + ETHER + IP;
    memset(t, 0, 20);
    put16(t, own_port);
    put16(t + 2, peer_port);
    put32(t + 4, acknowledged);
    put32(t + 8, expected);
    t[12] = 5 << 4;
    t[13] = (uint8_t)flags;
    put16(t + 14, WINDOW);
    memcpy(t + 20, data, n);
    ip_send(peer_mac, peer_ip, 6, 20 + n);
}

/* One packet in. What of its data is new is given in `data`; its length, or -1 when time is over or the connection is lost. */
static int step(uint64_t until, const uint8_t **data)
{
    unsigned n;
    uint8_t *t = receive(6, until, &n);
    if (t == NULL)
        return -1;
    unsigned header = (t[12] >> 4) * 4u, flags = t[13];
    if (n < 20 || header < 20 || header > n || get16(t + 2) != own_port || get16(t) != peer_port)
        return 0;
    if (flags & RST) {
        say("the peer has reset the connection\n");
        quit(1);
    }
    if (flags & ACK && get32(t + 8) - acknowledged <= sent - acknowledged)
        acknowledged = get32(t + 8);
    if (get32(t + 4) != expected) {
        segment(ACK, NULL, 0);
        return 0;
    }
    *data = t + header;
    int length = (int)(n - header);
    expected += (uint32_t)length;
    if (flags & FIN) {
        expected++;
        peer_closed = true;
    }
    if (length > 0 || flags & FIN)
        segment(ACK, NULL, 0);
    return length;
}

static bool connect(void)
{
    own_port = 40000 + mac[5];
    for (unsigned attempt = 0; attempt < 10; attempt++) {
        acknowledged = 0x1000, expected = 0;
        segment(SYN, NULL, 0);
        sent = acknowledged + 1;
        uint64_t until = now_ms() + 500;
        unsigned n;
        for (uint8_t *t; (t = receive(6, until, &n)) != NULL;) {
            if (n < 20 || get16(t + 2) != own_port || get16(t) != peer_port)
                continue;
            if (t[13] & RST)
                return false;
            if ((t[13] & (SYN | ACK)) == (SYN | ACK)) {
                expected = get32(t + 4) + 1;
                acknowledged = get32(t + 8);
                segment(ACK, NULL, 0);
                return true;
            }
        }
    }
    return false;
}

static bool serve(void)
{
    uint64_t until = now_ms() + 60000;
    unsigned n;
    for (uint8_t *t; (t = receive(6, until, &n)) != NULL;) {
        if (n < 20 || get16(t + 2) != own_port || !(t[13] & SYN))
            continue;
        memcpy(peer_mac, in + 6, 6);
        peer_ip = get32(in + ETHER + 12);
        peer_port = get16(t);
        acknowledged = 0x2000, expected = get32(t + 4) + 1;
        segment(SYN | ACK, NULL, 0);
        sent = ++acknowledged;
        return true;
    }
    return false;
}

/* Sends the bytes and waits until they have arrived; what comes meanwhile goes to `take`. */
static bool deliver(unsigned flags, const uint8_t *bytes, unsigned n, void (*take)(const uint8_t *, unsigned))
{
    uint32_t goal = acknowledged + n + (flags & FIN ? 1 : 0);
    for (unsigned attempt = 0; attempt < 20; attempt++) {
        sent = goal;
        segment(ACK | flags, bytes, n);
        uint64_t until = now_ms() + 500;
        const uint8_t *data;
        for (int got; acknowledged != goal && (got = step(until, &data)) >= 0;)
            if (got > 0)
                take(data, (unsigned)got);
        if (acknowledged == goal)
            return true;
    }
    return false;
}

static unsigned returned;
static bool same = true;

static uint8_t pattern(unsigned i) { return (uint8_t)(i * 7 + i / 256); }

static void compare(const uint8_t *data, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        same &= data[i] == pattern(returned++);
}

static void client(unsigned bytes)
{
    uint8_t part[MSS];
    bool arrived = true;
    for (unsigned done = 0; done < bytes && arrived;) {
        unsigned n = bytes - done < MSS ? bytes - done : MSS;
        for (unsigned i = 0; i < n; i++)
            part[i] = pattern(done + i);
        arrived = deliver(8, part, n, compare);
        done += n;
    }
    check("all bytes are acknowledged", arrived);
    uint64_t until = now_ms() + 10000;
    const uint8_t *data;
    for (int got; returned < bytes && (got = step(until, &data)) >= 0;)
        compare(data, (unsigned)got);
    check_equal("all come back", returned, bytes);
    check("as they were", same);
    check("the end is acknowledged", deliver(FIN, NULL, 0, compare));
    until = now_ms() + 10000;
    while (!peer_closed && step(until, &data) >= 0)
        ;
    check("the peer ends, too", peer_closed);
}

static uint8_t echo[4 * MSS];
static unsigned waiting;

static void keep(const uint8_t *data, unsigned n)
{
    for (unsigned i = 0; i < n && waiting < sizeof echo; i++)
        echo[waiting++] = data[i];
}

static void server(void)
{
    unsigned bytes = 0;
    bool arrived = true;
    while (arrived && !(peer_closed && waiting == 0)) {
        const uint8_t *data;
        int got = waiting > 0 ? 0 : step(now_ms() + 10000, &data);
        if (got < 0)
            break;
        keep(data, (unsigned)got);
        unsigned n = waiting < MSS ? waiting : MSS;
        if (n == 0)
            continue;
        uint8_t part[MSS];
        memcpy(part, echo, n);
        memmove(echo, echo + n, waiting -= n);
        arrived = deliver(8, part, n, keep);
        bytes += n;
    }
    check("the peer ended in order", arrived && peer_closed);
    check("the end is acknowledged", deliver(FIN, NULL, 0, keep));
    say("echoed %u bytes\n", bytes);
}

static uint32_t address(const char *key)
{
    char text[16];
    uint32_t ip = 0, part = 0;
    if (!option_text(key, text, sizeof text))
        return 0;
    for (const char *p = text; *p; p++) {
        if (*p == '.')
            ip = ip << 8 | part, part = 0;
        else
            part = part * 10 + (uint32_t)(*p - '0');
    }
    return ip << 8 | part;
}

int main(void)
{
    console_init();
    cycles_start();
    nic_start();
    say("net on " BOARD_NAME ", %02x:%02x:%02x:%02x:%02x:%02x\n", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    own_ip = address("address");
    mask = 0xffffff00;
    if (own_ip == 0)
        check("DHCP gives an address", dhcp());
    show("address", own_ip);
    unsigned port = option("port", 7);
    if (option("listen", 0)) {
        own_port = port;
        say("listening\n");
        check("somebody connects", serve());
        server();
        return finish("net");
    }
    peer_ip = address("server");
    if (peer_ip == 0)
        peer_ip = router;
    uint32_t target = peer_ip;
    if (((peer_ip ^ own_ip) & mask) != 0)
        peer_ip = router;
    static const uint8_t nobody[6];
    for (unsigned attempt = 0; attempt < 30 && !peer_known; attempt++) {
        unsigned n;
        arp(1, nobody, peer_ip);
        receive(0, now_ms() + 500, &n);
    }
    check("the next hop answers", peer_known);
    if (!peer_known)
        return finish("net");
    peer_ip = target;
    peer_port = port;
    show("server", peer_ip);
    bool connected = connect();
    check("TCP connects", connected);
    if (connected)
        client(option("bytes", 4096));
    return finish("net");
}

/* Semihosting calls (Arm, "Semihosting for AArch32 and AArch64"). The checks go to the UART; what the calls print goes
 * where the machine has its semihosting console.
 *
 * Command line: `file=PATH` names a file to write, read back and remove (left out without it); `exit=N` is the status to
 * end with when all is well (default 0). */
#include "lib.h"

#include <string.h>

enum {
    SYS_OPEN = 0x01, SYS_CLOSE, SYS_WRITEC, SYS_WRITE0, SYS_WRITE, SYS_READ, SYS_READC, SYS_ISERROR, SYS_ISTTY, SYS_SEEK,
    SYS_FLEN = 0x0c, SYS_TMPNAM, SYS_REMOVE, SYS_RENAME, SYS_CLOCK, SYS_TIME, SYS_SYSTEM, SYS_ERRNO,
    SYS_GET_CMDLINE = 0x15, SYS_HEAPINFO, SYS_ELAPSED = 0x30, SYS_TICKFREQ,
};
enum { READ = 0, WRITE = 4, READ_BINARY = 1, WRITE_BINARY = 5, APPEND_BINARY = 9 };

static int call1(unsigned operation, uintptr_t a)
{
    uintptr_t block[1] = { a };
    return semihosting(operation, (uintptr_t)block);
}

static int call2(unsigned operation, uintptr_t a, uintptr_t b)
{
    uintptr_t block[2] = { a, b };
    return semihosting(operation, (uintptr_t)block);
}

static int call3(unsigned operation, uintptr_t a, uintptr_t b, uintptr_t c)
{
    uintptr_t block[3] = { a, b, c };
    return semihosting(operation, (uintptr_t)block);
}

static int open(const char *name, unsigned mode) { return call3(SYS_OPEN, (uintptr_t)name, mode, strlen(name)); }
static int close(int file) { return call1(SYS_CLOSE, (uintptr_t)file); }

static void test_console(void)
{
    semihosting(SYS_WRITE0, (uintptr_t)"written by SYS_WRITE0\n");
    for (const char *c = "by SYS_WRITEC\n"; *c; c++)
        semihosting(SYS_WRITEC, (uintptr_t)c);
    int out = open(":tt", WRITE);
    check("\":tt\" opens for writing", out > 0);
    check_equal("SYS_WRITE leaves nothing over", (uint32_t)call3(SYS_WRITE, (uintptr_t)out, (uintptr_t)"by SYS_WRITE\n", 13), 0);
    int terminal = call1(SYS_ISTTY, (uintptr_t)out);
    check("SYS_ISTTY says 1 or, of a redirected console, 0", terminal == 1 || terminal == 0);
    check_equal("SYS_CLOSE", (uint32_t)close(out), 0);
    int in = open(":tt", READ);
    check("\":tt\" opens for reading", in > 0);
    check("a handle of its own", in != out || in > 0);
    close(in);
    int error = open(":tt", APPEND_BINARY);
    check("\":tt\" opens for appending: the error console", error > 0);
    close(error);
}

static void test_errors(void)
{
    check_equal("a file that is not there cannot be opened", (uint32_t)open("no/such/file/anywhere", READ), 0xffffffff);
    check_equal("SYS_ERRNO is ENOENT", (uint32_t)semihosting(SYS_ERRNO, 0), 2);
    check_equal("a handle that is none cannot be closed", (uint32_t)close(9999), 0xffffffff);
    check_equal("SYS_ERRNO is EBADF", (uint32_t)semihosting(SYS_ERRNO, 0), 9);
    check("SYS_ISERROR tells -1", call1(SYS_ISERROR, (uintptr_t)-1) != 0);
    check("from 0", call1(SYS_ISERROR, 0) == 0);
}

static void test_time(void)
{
    int centiseconds = semihosting(SYS_CLOCK, 0);
    check("SYS_CLOCK gives a time since the start", centiseconds >= 0);
    check("SYS_TIME gives seconds since 1970", semihosting(SYS_TIME, 0) > 0);
    uint64_t first = 0, second = 0;
    int result = semihosting(SYS_ELAPSED, (uintptr_t)&first);
    for (volatile int i = 0; i < 10000; i++) {}
    semihosting(SYS_ELAPSED, (uintptr_t)&second);
    check("SYS_ELAPSED goes on", result == 0 && second > first);
    check("SYS_TICKFREQ says in what", semihosting(SYS_TICKFREQ, 0) > 0);
}

static void test_information(void)
{
    char line[256];
    uintptr_t block[2] = { (uintptr_t)line, sizeof line };
    int result = semihosting(SYS_GET_CMDLINE, (uintptr_t)block);
    check("SYS_GET_CMDLINE gives a line and its length", result == 0 && block[1] == strlen(line));
    say("     \"%s\"\n", result == 0 ? line : "");
    block[1] = 0;
    check("no room for it is an error", semihosting(SYS_GET_CMDLINE, (uintptr_t)block) == -1 || block[1] == 0);
    uint32_t heap[4] = { 1, 1, 1, 1 };
    semihosting(SYS_HEAPINFO, (uintptr_t)(uint32_t *[]){ heap });
    say("     heap 0x%08x to 0x%08x, stack 0x%08x to 0x%08x\n", (unsigned)heap[0], (unsigned)heap[1], (unsigned)heap[2],
        (unsigned)heap[3]);
    check("SYS_HEAPINFO: a heap in RAM", heap[0] >= 0x20000000 && heap[1] > heap[0]);
}

static void test_file(void)
{
    char path[128];
    if (!option_text("file", path, sizeof path)) {
        skip("a file", "no file= on the command line");
        return;
    }
    static const char text[] = "0123456789abcdef";
    int file = open(path, WRITE_BINARY);
    check("a new file opens", file > 0);
    check_equal("takes 16 bytes", (uint32_t)call3(SYS_WRITE, (uintptr_t)file, (uintptr_t)text, 16), 0);
    check_equal("is no terminal", (uint32_t)call1(SYS_ISTTY, (uintptr_t)file), 0);
    close(file);
    file = open(path, APPEND_BINARY);
    call3(SYS_WRITE, (uintptr_t)file, (uintptr_t)"XY", 2);
    close(file);
    file = open(path, READ_BINARY);
    unsigned size = (unsigned)call1(SYS_FLEN, (uintptr_t)file);
    if (size == 16) /* QEMU 10 opens without O_APPEND */
        skip("appending", "the two bytes went to the file's beginning");
    else
        check_equal("has 18 bytes after two more", size, 18);
    check_equal("SYS_SEEK", (uint32_t)call2(SYS_SEEK, (uintptr_t)file, 10), 0);
    char got[32] = { 0 };
    uint32_t left = (uint32_t)call3(SYS_READ, (uintptr_t)file, (uintptr_t)got, 32);
    check_equal("SYS_READ says how many of 32 bytes it has not", left, 32 - (size - 10));
    check("reads what was written", strcmp(got, size == 16 ? "abcdef" : "abcdefXY") == 0);
    check_equal("at the end it reads nothing", (uint32_t)call3(SYS_READ, (uintptr_t)file, (uintptr_t)got, 4), 4);
    close(file);
    check_equal("SYS_REMOVE", (uint32_t)call2(SYS_REMOVE, (uintptr_t)path, strlen(path)), 0);
    check_equal("then it is gone", (uint32_t)open(path, READ_BINARY), 0xffffffff);
}

int main(void)
{
    console_init();
    test_console();
    test_errors();
    test_time();
    test_information();
    test_file();
    int status = finish("t-semihosting");
    return status != 0 ? status : (int)option("exit", 0);
}

/* A program of this folder as a process of Linux on RISC-V 64, static and without a C library: start, console, options and end.
 * Beside it virt.c, compiled with ON_LINUX, has the rest. System calls: Linux's asm-generic table. */
#include "lib.h"

enum { SYS_WRITE = 64, SYS_EXIT_GROUP = 94, SEMIHOSTING_GET_CMDLINE = 0x15 };

static int argc;
static char **argv;

static long call(long number, long first, long second, long third)
{
    register long a0 __asm("a0") = first;
    register long a1 __asm("a1") = second;
    register long a2 __asm("a2") = third;
    register long a7 __asm("a7") = number;
    __asm volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a7) : "memory");
    return a0;
}

int main(void);

/* The stack holds the number of arguments, and then where they are (RISC-V ELF psABI, "Process initialization"). */
__attribute__((used)) static _Noreturn void begin(long *stack)
{
    argc = (int)stack[0];
    argv = (char **)(stack + 1);
    quit(main());
}

__asm(".section .text.start, \"ax\", %progbits\n"
      ".global _start\n"
      "_start:\n"
      ".option push\n"
      ".option norelax\n"
      "    la gp, __global_pointer$\n"
      ".option pop\n"
      "    mv a0, sp\n"
      "    andi sp, sp, -16\n"
      "    tail begin\n"
      ".text\n");

void console_init(void) {}

void put(char c)
{
    call(SYS_WRITE, 1, (long)&c, 1);
}

_Noreturn void quit(int status)
{
    for (;;)
        call(SYS_EXIT_GROUP, status, 0, 0);
}

/* The one call that lib.c makes: the arguments, with a blank between them. */
int semihosting(unsigned operation, uintptr_t argument)
{
    uintptr_t *block = (uintptr_t *)argument;
    if (operation != SEMIHOSTING_GET_CMDLINE || block[1] == 0)
        return -1;
    char *to = (char *)block[0], *end = to + block[1] - 1;
    for (int i = 1; i < argc; i++) {
        for (const char *from = argv[i]; *from && to < end; from++)
            *to++ = *from;
        if (to < end)
            *to++ = ' ';
    }
    *to = 0;
    return 0;
}

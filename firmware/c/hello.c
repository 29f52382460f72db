/* The smallest firmware: a line on the console, and the end. Also the sample for the loaders (ELF, Intel HEX, raw). */
#include "lib.h"

void irq(unsigned n)
{
    (void)n;
    quit(5);
}

void fault(unsigned n, uint32_t *frame)
{
    (void)n, (void)frame;
    quit(3);
}

int main(void)
{
    console_init();
    for (const char *s = "Hello from " BOARD_NAME "\n"; *s; s++)
        put(*s);
    return 0;
}

/* What newlib asks of a system (newlib manual, "System Calls"): the console for all files, and a heap that ends below the
 * stack. */
#include "lib.h"

#include <errno.h>
#include <sys/stat.h>

extern char __heap_start[], __heap_end[];

int _write(int file, const char *data, int length);
int _read(int file, char *data, int length);
void *_sbrk(ptrdiff_t more);
int _close(int file);
int _fstat(int file, struct stat *status);
int _isatty(int file);
int _lseek(int file, int offset, int whence);
void _exit(int status);
int _kill(int process, int signal);
int _getpid(void);

int _write(int file, const char *data, int length)
{
    (void)file;
    for (int i = 0; i < length; i++)
        put(data[i]);
    return length;
}

int _read(int file, char *data, int length)
{
    (void)file, (void)data, (void)length;
    return 0; /* end of file */
}

void *_sbrk(ptrdiff_t more)
{
    static char *end = __heap_start;
    if (more > __heap_end - end) {
        errno = ENOMEM;
        return (void *)-1;
    }
    char *before = end;
    end += more;
    return before;
}

int _close(int file) { (void)file; return 0; }
int _isatty(int file) { (void)file; return 1; }
int _lseek(int file, int offset, int whence) { (void)file, (void)offset, (void)whence; return 0; }
void _exit(int status) { quit(status); }
int _kill(int process, int signal) { (void)process, (void)signal; errno = EINVAL; return -1; }
int _getpid(void) { return 1; }

int _fstat(int file, struct stat *status)
{
    (void)file;
    status->st_mode = S_IFCHR;
    return 0;
}

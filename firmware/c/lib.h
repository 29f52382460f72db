/* What the C firmware here shares: console, semihosting, registers of the core, and the few words of a test.
 * One source serves both boards; BOARD_LM3S6965EVB or BOARD_MPS2_AN385 is defined by the build. */
#ifndef LIB_H
#define LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(BOARD_LM3S6965EVB)
#define BOARD_NAME "lm3s6965evb"
#define CPU_HZ 12500000u /* 200 MHz / 16: RCC.SYSDIV after reset */
#elif defined(BOARD_MPS2_AN385)
#define BOARD_NAME "mps2-an385"
#define CPU_HZ 25000000u
#elif defined(BOARD_VIRT)
/* RISC-V, without an operating system or, with ON_LINUX, as a process; virt.c has the part of this header that such programs need. */
#define BOARD_NAME "virt"
#else
#error "define a board"
#endif

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

#ifdef BOARD_VIRT
#define wfi() __asm volatile("wfi" ::: "memory")
#ifdef ON_LINUX
#define CYCLES_BY "time"
#else
#define CYCLES_BY "minstret"
#endif
#define DWT_CYCCNT 0u
#else
#define CYCLES_BY "SysTick"

/* ARMv7-M Architecture Reference Manual, B3.2 to B3.5 and C1.8. */
#define SYST_CSR REG(0xe000e010)
#define SYST_RVR REG(0xe000e014)
#define SYST_CVR REG(0xe000e018)
#define NVIC_ISER(n) REG(0xe000e100 + 4 * (n))
#define NVIC_ICER(n) REG(0xe000e180 + 4 * (n))
#define NVIC_ISPR(n) REG(0xe000e200 + 4 * (n))
#define NVIC_ICPR(n) REG(0xe000e280 + 4 * (n))
#define NVIC_IABR(n) REG(0xe000e300 + 4 * (n))
#define NVIC_IPR(n) (*(volatile uint8_t *)(uintptr_t)(0xe000e400 + (n)))
#define CPUID REG(0xe000ed00)
#define ICSR REG(0xe000ed04)
#define VTOR REG(0xe000ed08)
#define AIRCR REG(0xe000ed0c)
#define CCR REG(0xe000ed14)
#define SHPR(exception) (*(volatile uint8_t *)(uintptr_t)(0xe000ed18 + (exception) - 4))
#define SHCSR REG(0xe000ed24)
#define CFSR REG(0xe000ed28)
#define HFSR REG(0xe000ed2c)
#define MMFAR REG(0xe000ed34)
#define BFAR REG(0xe000ed38)
#define MPU_TYPE REG(0xe000ed90)
#define MPU_CTRL REG(0xe000ed94)
#define MPU_RNR REG(0xe000ed98)
#define MPU_RBAR REG(0xe000ed9c)
#define MPU_RASR REG(0xe000eda0)
#define DEMCR REG(0xe000edfc)
#define STIR REG(0xe000ef00)
#define DWT_CTRL REG(0xe0001000)
#define DWT_CYCCNT REG(0xe0001004)

#define wfi() __asm volatile("wfi" ::: "memory")
#define dsb() __asm volatile("dsb\n\tisb" ::: "memory")
#define irq_off() __asm volatile("cpsid i" ::: "memory")
#define irq_on() __asm volatile("cpsie i\n\tisb" ::: "memory")

static inline void irq_enable(unsigned n) { NVIC_ISER(n / 32) = 1u << n % 32; }
static inline void irq_disable(unsigned n) { NVIC_ICER(n / 32) = 1u << n % 32; }
#endif

/* Console: the board's first UART, polled. */
void console_init(void);
void put(char c);
/* %s %c %d %u %x %08x and %% only; a minimum width with zeros for %x. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The call itself is in start.s; -1 where the machine has no semihosting. */
int semihosting(unsigned operation, uintptr_t argument);
_Noreturn void quit(int status);
/* The number behind `key=` on the semihosting command line, or `otherwise`. */
unsigned option(const char *key, unsigned otherwise);
/* Copies the word behind `key=`; false if there is none, or it is longer than `size` - 1. */
bool option_text(const char *key, char *text, size_t size);

/* CPU cycles since cycles_start(), from SysTick and its interrupt: both boards and every emulator have that one. On virt, executed instructions. */
void cycles_start(void);
uint64_t cycles(void);
/* Whether DWT's cycle counter is there and counts; switches it on. Never on virt. */
bool dwt_start(void);

/* A test: one line per check, a summary, and the exit status. */
void check(const char *what, bool good);
void check_equal(const char *what, uint32_t is, uint32_t should);
void check_near(const char *what, uint32_t is, uint32_t should, unsigned percent);
void skip(const char *what, const char *why);
unsigned failures(void);
int finish(const char *name);

#endif

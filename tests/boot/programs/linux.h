// SPDX-License-Identifier: GPL-2.0-or-later
// Just enough of Linux's system calls for the small static i386 programs that go into initramfs images: no C library, so
// that any x86 compiler builds them. They are built for x86-64 too, for hosts that run no i386 programs.
#ifndef RING3_TESTS_LINUX_H
#define RING3_TESTS_LINUX_H

#ifdef __x86_64__
enum { SYS_EXIT = 60, SYS_FORK = 57, SYS_WRITE = 1, SYS_WAITPID = 61, SYS_EXECVE = 59, SYS_SCHED_YIELD = 24,
       SYS_CLOCK_GETTIME = 228 };
#define LINUX_CALL "syscall"
#define LINUX_CLOBBERS "memory", "rcx", "r11"

static inline long linux_call(long number, long a, long b, long c)
{
    register long fourth __asm__("r10") = 0; // wait4's
    long result;

    __asm__ volatile(LINUX_CALL : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : LINUX_CLOBBERS);
    return result;
}
#else
enum { SYS_EXIT = 1, SYS_FORK = 2, SYS_WRITE = 4, SYS_WAITPID = 7, SYS_EXECVE = 11, SYS_SCHED_YIELD = 158,
       SYS_CLOCK_GETTIME = 265 };
#define LINUX_CALL "int $0x80"
#define LINUX_CLOBBERS "memory"

static inline long linux_call(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile(LINUX_CALL : "=a"(result) : "0"(number), "b"(a), "c"(b), "d"(c) : LINUX_CLOBBERS);
    return result;
}
#endif

static inline void print(const char *s)
{
    unsigned n = 0;

    while (s[n])
        n++;
    linux_call(SYS_WRITE, 1, (long)s, (long)n);
}

// Writes value in hexadecimal, eight digits, to text[0..8).
static inline void hex(char *text, unsigned value)
{
    for (int i = 7; i >= 0; i--, value >>= 4)
        text[i] = "0123456789abcdef"[value & 15];
}

static inline unsigned decimal(const char *s)
{
    unsigned value = 0;

    while (*s >= '0' && *s <= '9')
        value = value * 10 + (unsigned)(*s++ - '0');
    return value;
}

// The program: its result is the exit status.
static int program(int argc, char **argv);

// The kernel starts a program with argc at the top of the stack, and argv above it.
#ifdef __x86_64__
__asm__(".globl _start\n_start: movq %rsp, %rdi\n andq $-16, %rsp\n call start_c\n");
#else
__asm__(".globl _start\n_start: movl %esp, %eax\n andl $-16, %esp\n subl $12, %esp\n pushl %eax\n call start_c\n");
#endif

__attribute__((used)) void start_c(long *stack);
void start_c(long *stack)
{
    linux_call(SYS_EXIT, program((int)stack[0], (char **)(stack + 1)), 0, 0);
}

#endif

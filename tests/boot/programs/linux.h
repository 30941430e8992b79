// SPDX-License-Identifier: GPL-2.0-or-later
// Just enough of Linux's i386 system calls for the small static programs that go into initramfs images:
// no C library, so that any x86 compiler builds them.
#ifndef RING3_TESTS_LINUX_H
#define RING3_TESTS_LINUX_H

enum { SYS_EXIT = 1, SYS_FORK = 2, SYS_WRITE = 4, SYS_WAITPID = 7, SYS_EXECVE = 11, SYS_SCHED_YIELD = 158,
       SYS_CLOCK_GETTIME = 265 };

static inline long linux_call(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

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
__asm__(".globl _start\n_start: movl %esp, %eax\n andl $-16, %esp\n subl $12, %esp\n pushl %eax\n call start_c\n");

__attribute__((used)) void start_c(long *stack);
void start_c(long *stack)
{
    linux_call(SYS_EXIT, program((int)stack[0], (char **)(stack + 1)), 0, 0);
}

#endif

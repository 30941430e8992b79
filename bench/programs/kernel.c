// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's costs: single system calls, and the tables of the whole program.
#include "kernel.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __i386__
static uint32_t null_int80(struct bench *b, uint32_t n)
{
    uint32_t expected = (uint32_t)syscall(SYS_getuid), sum = 0, result;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        asm volatile("int $0x80" : "=a"(result) : "a"(SYS_getuid) : "memory");
        sum += result == expected;
    }
    return sum;
}

// The way that the kernel's vDSO recommends: SYSENTER, or SYSCALL on some CPUs.
static uint32_t null_sysenter(struct bench *b, uint32_t n)
{
    unsigned long entry = getauxval(AT_SYSINFO);
    uint32_t expected = (uint32_t)syscall(SYS_getuid), sum = 0, result;

    bench_need(entry != 0, "AT_SYSINFO");
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++) {
        asm volatile("call *%1" : "=a"(result) : "r"(entry), "a"(SYS_getuid) : "memory", "cc");
        sum += result == expected;
    }
    return sum;
}
#endif

static uint32_t vdso_time(struct bench *b, uint32_t n)
{
    uint64_t last = 0;
    uint32_t back = 0;

    (void)b;
    for (uint32_t i = 0; i < n; i++) {
        struct timespec t;
        uint64_t now;

        clock_gettime(CLOCK_MONOTONIC, &t);
        now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
        back += now < last;
        last = now;
    }
    return back;
}

static uint32_t read_byte(struct bench *b, uint32_t n)
{
    int fd = open("/dev/zero", O_RDONLY);
    uint32_t sum = 0;
    char c = 1;

    bench_need(fd >= 0, "/dev/zero");
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++)
        sum += (uint32_t)read(fd, &c, 1) + (uint32_t)c;
    return sum;
}

static uint32_t write_byte(struct bench *b, uint32_t n)
{
    int fd = open("/dev/null", O_WRONLY);
    uint32_t sum = 0;

    bench_need(fd >= 0, "/dev/null");
    bench_begin(b);
    for (uint32_t i = 0; i < n; i++)
        sum += (uint32_t)write(fd, "x", 1);
    return sum;
}

static uint32_t stat_root(struct bench *b, uint32_t n)
{
    uint32_t sum = 0;
    struct stat s;

    (void)b;
    for (uint32_t i = 0; i < n; i++)
        sum += stat("/proc", &s) == 0 && S_ISDIR(s.st_mode);
    return sum;
}

static const struct work calls[] = {
#ifdef __i386__
    {"null_int80", null_int80, 60000},
    {"null_sysenter", null_sysenter, 1200000},
#endif
    {"vdso_time", vdso_time, 4000000},
    {"read_byte", read_byte, 600000},
    {"write_byte", write_byte, 600000},
    {"stat", stat_root, 200000},
    {NULL, NULL, 0},
};

const struct work *const work_tables[] = {
    calls, kernel_process, kernel_memory, kernel_talk, NULL,
};

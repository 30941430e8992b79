// SPDX-License-Identifier: GPL-2.0-or-later
// Works of the scaling study, whose argument is a count rather than a percentage:
//   scale spaces N    N processes of a page of data each take turns: nanoseconds a turn
//   scale code N      N KiB of distinct functions, each called over and over: nanoseconds a call
// Prints "NANOSECONDS CHECKSUM".
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FUNCTION 64 // bytes

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void need(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

// A ring of pipes: each process waits for a byte from its left and hands it to its right.
static double spaces(uint32_t n, uint32_t *sum)
{
    uint32_t rounds = n < 100 ? 2000 / n + 1 : 20;
    int first[2], left, next[2];
    uint64_t begin = 0, end;
    unsigned char byte = 0;

    need(!pipe(first), "pipe");
    left = first[0];
    for (uint32_t i = 1; i < n; i++) {
        pid_t pid;

        need(!pipe(next), "pipe");
        pid = fork();
        need(pid >= 0, "fork");
        if (!pid) {
            volatile unsigned char own[4096];

            close(first[1]);
            close(next[0]);
            while (read(left, &byte, 1) == 1) {
                own[byte * 16] = byte;
                byte = (unsigned char)(own[byte * 16] + 1);
                if (write(next[1], &byte, 1) != 1)
                    break;
            }
            _exit(0);
        }
        close(left);
        close(next[1]);
        left = next[0];
    }
    for (uint32_t i = 0; i < 2 + rounds; i++) {
        if (i == 2)
            begin = now(); // behind two rounds to warm up
        need(write(first[1], &byte, 1) == 1 && read(left, &byte, 1) == 1, "ring");
    }
    end = now();
    close(first[1]);
    close(left);
    while (wait(NULL) > 0)
        ;
    *sum = byte;
    return (double)(end - begin) / rounds / n;
}

static double code(uint32_t kib, uint32_t *sum)
{
    size_t size = (size_t)kib << 10, count = size / FUNCTION;
    unsigned char *at = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t passes = 4 + (16u << 10) / kib, x = 1;
    uint64_t begin;

    need(at != MAP_FAILED, "mmap");
    for (size_t i = 0; i < count; i++) {
        // movl 4(%esp), %eax; 9 times addl $r, %eax; ret
        unsigned char *f = at + i * FUNCTION;

        memcpy(f, "\x8b\x44\x24\x04", 4);
        for (int k = 0; k < 9; k++) {
            uint32_t r = (uint32_t)(i * 9 + (size_t)k) * 2654435761u;

            f[4 + 5 * k] = 0x05;
            memcpy(f + 5 + 5 * k, &r, 4);
        }
        f[49] = 0xc3;
    }
    for (size_t i = 0; i < count; i++)
        x = ((uint32_t(*)(uint32_t))(at + i * FUNCTION))(x);
    begin = now();
    for (uint32_t pass = 0; pass < passes; pass++)
        for (size_t i = 0; i < count; i++)
            x = ((uint32_t(*)(uint32_t))(at + i * FUNCTION))(x);
    *sum = x;
    return (double)(now() - begin) / passes / (double)count;
}

int main(int argc, char **argv)
{
    uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0, sum = 0;
    double ns = 0;

    if (n && !strcmp(argv[1], "spaces"))
        ns = spaces(n, &sum);
    else if (n && !strcmp(argv[1], "code"))
        ns = code(n, &sum);
    else
        return 2;
    printf("%llu %08x\n", (unsigned long long)(ns + 0.5), sum);
    return 0;
}

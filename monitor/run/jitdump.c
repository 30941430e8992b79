// SPDX-License-Identifier: GPL-2.0-or-later Translated code for `perf inject --jit`:
// /tmp/jit-PID.dump. perf finds the file by an executable mapping of it.
#include "profile.h"

#include "monitor/base/log.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct jit_header {
    u32 magic, version, total_size, elf_mach, pad, pid;
    u64 timestamp, flags;
};

struct jit_load {
    u32 id, total_size;
    u64 timestamp;
    u32 pid, tid;
    u64 vma, code_addr, code_size, code_index;
};

struct jitdump {
    FILE *file;
    void *marker;
    u64 index;
};

static u64 now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000ull + (u64)t.tv_nsec;
}

struct jitdump *jitdump_create(struct err *err)
{
    struct jitdump *j = calloc(1, sizeof(*j));
    struct jit_header header = {
        .magic = 0x4a695444, .version = 1, .total_size = sizeof(header), .elf_mach = EM_X86_64,
        .pid = (u32)getpid(), .timestamp = now(),
    };
    char name[64];

    CHECK(j != NULL);
    snprintf(name, sizeof(name), "/tmp/jit-%d.dump", (int)getpid());
    j->file = fopen(name, "w+e");
    if (j->file) {
        fwrite(&header, sizeof(header), 1, j->file);
        j->marker = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(j->file), 0);
    }
    if (!j->file || j->marker == MAP_FAILED) {
        err_set(err, EXIT_HOST, "-jitdump: %s cannot be written and mapped executable: %s", name,
                strerror(errno));
        if (j->file)
            fclose(j->file);
        free(j);
        return NULL;
    }
    return j;
}

void jitdump_code(struct jitdump *j, u32 host, const u8 *bytes, u32 len, const char *name)
{
    size_t size = strlen(name) + 1;
    struct jit_load load = {
        .id = 0, .total_size = (u32)(sizeof(load) + size + len), .timestamp = now(),
        .pid = (u32)getpid(), .tid = (u32)syscall(SYS_gettid), .vma = host, .code_addr = host,
        .code_size = len, .code_index = j->index++,
    };

    fwrite(&load, sizeof(load), 1, j->file);
    fwrite(name, size, 1, j->file);
    fwrite(bytes, len, 1, j->file);
}

void jitdump_close(struct jitdump *j)
{
    if (!j)
        return;
    munmap(j->marker, 4096);
    fclose(j->file);
    free(j);
}

// SPDX-License-Identifier: GPL-2.0-or-later
// A case: a machine state, a few instructions, and what came of it. Shared by the generator, the guest machines
// and the native server, which is a program of its own (native.c says why).
//
//   every case ends in an exception: its own, or the #GP of the HLT that fills the code pages behind it
#ifndef RING3_TESTS_ORACLE_CASE_H
#define RING3_TESTS_ORACLE_CASE_H

#include "monitor/base/types.h"

// ---- Memory: the same linear addresses on the host and in the guest, backed by one image.
enum { AREA_WRITE = BIT(0), AREA_EXEC = BIT(1), AREA_OPTIONAL = BIT(2) };

struct area {
    u32 gla;
    u16 first, pages; // pages of the image
    u16 flags;
};

// The page at 0 needs a privileged host (vm.mmap_min_addr). The alias is the code's pages once more.
#define AREA_LIST(X)                                                                         \
    X(AREA_CODE, 0x08000000, 0, 2, AREA_WRITE | AREA_EXEC)                                   \
    X(AREA_ALIAS, 0x0c000000, 0, 2, AREA_WRITE)                                              \
    X(AREA_DATA, 0x10000000, 2, 2, AREA_WRITE)                                               \
    X(AREA_READONLY, 0x10002000, 4, 1, 0)                                                    \
    X(AREA_LONE, 0x10004000, 5, 1, AREA_WRITE)                                               \
    X(AREA_TOP, 0xffffe000, 6, 2, AREA_WRITE | AREA_EXEC)                                    \
    X(AREA_ZERO, 0x00000000, 8, 1, AREA_WRITE | AREA_OPTIONAL)

enum {
#define X(id, gla, first, pages, flags) id,
    AREA_LIST(X)
#undef X
    AREA_COUNT
};
static const struct area areas[AREA_COUNT] = {
#define X(id, gla, first, pages, flags) { gla, first, pages, flags },
    AREA_LIST(X)
#undef X
};

#define IMAGE_PAGES 9
#define IMAGE_SIZE (IMAGE_PAGES * 4096u)
#define CODE_FILL 0xf4 // HLT: one byte, so that any landing place faults

// Linux's selectors for 32-bit programs, which the guest's GDT mirrors.
enum { SEL_CODE = 0x23, SEL_DATA = 0x2b };

// ---- One case
#define CASE_CODE 160
#define CASE_INSNS 24
#define FX_BYTES 288 // of the FXSAVE image: what exists outside 64-bit mode

struct oracle_case {
    u64 id;           // seed it was made from
    u64 mem_seed;     // memory_template's
    u32 gpr[8];
    u32 eip, eflags;
    u16 seg[6];       // selectors, encoding order
    u8 count;         // instructions
    u8 len[CASE_INSNS];
    u16 code_len;     // sum of len
    u8 code[CASE_CODE];
    u8 fpu;           // fx below matters
    _Alignas(16) u8 fx[512];
};

enum {
    VECTOR_TIMEOUT = 0xf0, // it did not come to an end
    VECTOR_ESCAPED = 0xf1, // native: a system call, 64-bit mode or a crash; nothing can be said
    VECTOR_SHUTDOWN = 0xf2,
};

#define MAX_DIFFS 96
struct oracle_result {
    u32 gpr[8], eip, eflags;
    u16 seg[6];
    u8 vector;
    u32 error, cr2;   // cr2: #PF only, else 0
    u32 diffs;        // bytes of memory changed; the first MAX_DIFFS follow
    struct {
        u16 at;       // offset in the image
        u8 now;
    } diff[MAX_DIFFS];
    u64 hash;         // of all changes
    _Alignas(16) u8 fx[FX_BYTES];
};

// ---- memory.c
// Fills the image as it is before the case, but for its code.
void memory_template(u64 seed, u8 *image);
// The image as the case finds it.
void memory_prepare(const struct oracle_case *c, const u8 *template, u8 *image);
// Fills in diffs, diff and hash. before: the image as the case found it.
void memory_diff(const u8 *before, const u8 *after, struct oracle_result *r);
// Offset in the image of a linear address, or -1.
int memory_offset(u32 gla);
bool memory_executable(u32 gla);

static inline u64 random_next(u64 *state) // splitmix64
{
    u64 z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

// ---- The memory that the oracle and the native server share.
#define BATCH 256
struct batch {
    u32 count;
    u32 done;         // cases finished: where the server died, if it did
    u32 has_zero;     // the page at 0 could be mapped
    u32 has_ldt;      // the host lets us have segments.h
    struct oracle_case c[BATCH];
    struct oracle_result r[BATCH];
};

#endif

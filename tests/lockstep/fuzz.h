// SPDX-License-Identifier: GPL-2.0-or-later
// The guest fuzzer: guests of random code, page tables and descriptor tables, each made from a number.
#ifndef RING3_TESTS_LOCKSTEP_FUZZ_H
#define RING3_TESTS_LOCKSTEP_FUZZ_H

#include "monitor/run/engine.h"
#include "monitor/run/lockstep.h"
#include "shadow-mmu/mmu.h"

#define RAM (1u << 20)

// Physical memory of every guest.
enum {
    AT_IVT = 0, AT_HANDLERS16 = 0x1000, AT_HANDLERS32 = 0x2000, // 32 bytes a vector
    AT_GDT = 0x3000, AT_LDT = 0x3400, AT_TSS = 0x3800, AT_TSS2 = 0x3a00, AT_IDT = 0x4000,
    AT_CODE = 0x10000, AT_DATA = 0x20000, AT_STACK = 0x40000, // 64 KiB each, DATA 128
    AT_END = 0x50000,
    // CR3: directory or PDPT; tables from the next page on. No page leads here: what a guest does to its tables would
    // show at once on one side, and later, as it may, on the other.
    AT_PAGING = 0xe0000, PAGING_LEN = 0x8000,
};

struct rng {
    u64 state;
};

static inline u64 rng_next(struct rng *r) // splitmix64
{
    u64 z = r->state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static inline u32 rng_below(struct rng *r, u32 n)
{
    return (u32)(rng_next(r) >> 32) % n;
}

static inline bool rng_one_in(struct rng *r, u32 n)
{
    return rng_below(r, n) == 0;
}

struct guest {
    u64 number;
    u8 mem[AT_END];
    u8 paging[PAGING_LEN];
    struct vcpu start;    // the architectural state
    bool ends;            // its exception handlers halt now and then
    const char *mode;
};

// A machine for one engine. Its ports and device memory answer with pseudo-random numbers.
struct machine {
    const struct engine_ops *ops;
    struct engine *engine;
    struct vcpu *v;
    struct cpu_model model;
    struct mmu mmu;
    struct phys phys;
    struct bus bus;
    struct log log;
    struct rng rng;
    u64 clock_reads;
    bool (*ran)(struct bt_watch *, u32); // lockstep: the engine's own
};

// ---- machine.c
// NULL, with a message printed, if it cannot be built.
struct machine *machine_new(const char *engine, const char *options);
// Puts the CPU to the guest's start.
void machine_start(struct vcpu *v, const struct guest *g);
// And memory, too.
void machine_load(struct machine *m, const struct guest *g);
// Something from outside, at a place that the caller chose: an interrupt, DMA, or a change of the physical map.
void machine_disturb(struct machine *m, struct rng *rng);

// ---- refuse.c
// From now on one of `one_in` host mappings that make windows is refused; 0: none.
void refuse_maps(u64 seed, unsigned one_in);
// The Nth request for memory from now on is refused; 0: none.
void refuse_memory(u64 at);
// Since then; and mappings and memory that were refused.
u64 refuse_asked(void);
u64 refuse_refused(void);
// Whether something that a refused mapping took away is still missing: any other mapping could come to lie there.
bool refuse_left_hole(void);

// ---- guest.c, code.c
void guest_make(struct guest *g, u64 number);
// Another start in the same memory and mode: other registers, and elsewhere in the code.
void guest_move(struct guest *g, struct rng *rng);
// Fills [at, at + len) of memory with code.
void code_make(struct guest *g, struct rng *rng, u32 at, u32 len, bool code32);

#endif

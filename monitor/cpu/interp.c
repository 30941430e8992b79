// SPDX-License-Identifier: GPL-2.0-or-later
// The interpreter's loop.
//
// A decoded-instruction cache saves decoding, and needs no invalidation: an entry says which
// bytes it was decoded from, and is used only if memory still has them. It is indexed by linear
// address, but what it says depends on the bytes alone, so that neither paging nor
// self-modifying code can make it wrong. The fetch itself goes through the software TLB.
//
// The loop has two gears. With nothing to watch for (no event, no shadow, TF, RF or
// breakpoints) an instruction is fetched and executed; otherwise step() does all that belongs
// to an instruction boundary, in the order of SDM table 6-2.
#include "exec.h"
#include "local.h"
#include "mem.h"
#include "monitor/base/err.h"

#include <stdlib.h>

#define DCACHE_BITS 15
#define DCACHE_SIZE (1u << DCACHE_BITS)

// What a hit looks at comes first, in one cache line.
struct decoded {
    _Alignas(64) u64 bytes[2]; // what it was decoded from,
    u64 mask[2];               // and how much of that counts
    exec_fn fn;
    u32 mode;                  // SEG_DB if decoded as 32-bit code; MODE_EMPTY
    struct insn insn;
};
#define MODE_EMPTY 1u

void interp_release(struct vcpu *v)
{
    free(v->decoded);
    v->decoded = NULL;
}

static inline bool code32(const struct vcpu *v)
{
    return v->seg[S_CS].attr & SEG_DB;
}

// ---- Fetch
// Byte by byte as far as the instruction needs: beyond the segment's limit #GP, on a page that
// faults #PF, whichever comes first; over 15 bytes #GP.
void interp_fetch(struct vcpu *v, struct insn *insn)
{
    const struct seg *cs = &v->seg[S_CS];
    u32 room = cs->limit == 0xffffffff ? INSN_MAX : cs->limit - v->eip; // over 4 GiB it goes on at 0
    unsigned want = room >= INSN_MAX - 1 ? INSN_MAX : room + 1, have;
    u8 bytes[16] = { 0 };
    gla_t gla = cs->base + v->eip;
    gpa_t gpa;

    if (v->eip > cs->limit)
        raise_gp(v, 0);
    // The next page is not looked at unless the instruction reaches it: a device may be there.
    have = mmu_fetch(v, gla, bytes, MIN(want, (unsigned)(PAGE_SIZE - (gla & ~PAGE_MASK))), &gpa);
    if (have < want && insn_decode(insn, bytes, have, code32(v)) == INSN_TRUNCATED)
        have = mmu_fetch(v, gla, bytes, want, &gpa);
    switch (insn_decode(insn, bytes, have, code32(v))) {
    case INSN_OK:
        return;
    case INSN_TRUNCATED:
        if (have < want)
            mmu_fetch_gpa(v, gla + have); // raises #PF
        raise_gp(v, 0);
    case INSN_TOO_LONG:
        raise_gp(v, 0);
    }
}

// The host address of code at gla, good for 16 bytes; NULL if that takes more than the software
// TLB.
static inline __attribute__((always_inline)) const u8 *code_host(struct vcpu *v, gla_t gla)
{
    const struct tlb_entry *e = mem_tlb(v, gla);

    if (unlikely((gla & ~PAGE_MASK) > PAGE_SIZE - 16))
        return NULL;
    if (unlikely(e->xtag != ((gla & PAGE_MASK) | v->asid)))
        return NULL;
    return (const u8 *)(e->addend + gla);
}

// Bytes of the mask that belong to an instruction of len bytes.
static u64 byte_mask(unsigned len)
{
    return len >= 8 ? ~0ull : (1ull << 8 * len) - 1;
}

__attribute__((noinline)) static const struct decoded *decode_miss(struct vcpu *v,
                                                                   struct decoded *d)
{
    const u8 *host = code_host(v, v->seg[S_CS].base + v->eip);

    d->mode = MODE_EMPTY;
    interp_fetch(v, &d->insn);
    d->mask[0] = byte_mask(d->insn.len);
    d->mask[1] = d->insn.len > 8 ? byte_mask(d->insn.len - 8) : 0;
    memcpy(d->bytes, host, sizeof(d->bytes));
    d->bytes[0] &= d->mask[0];
    d->bytes[1] &= d->mask[1];
    d->fn = exec_find(v, &d->insn);
    d->mode = v->seg[S_CS].attr & SEG_DB;
    return d;
}

// Fetches into d, whatever it was.
__attribute__((noinline)) static const struct decoded *decode_uncached(struct vcpu *v,
                                                                       struct decoded *d)
{
    interp_fetch(v, &d->insn);
    d->fn = exec_find(v, &d->insn);
    return d;
}

__attribute__((noinline)) static const struct decoded *decode_slow(struct vcpu *v, gla_t gla,
                                                                   struct decoded *scratch)
{
    // The limit goes before the page, as in interp_fetch.
    if (v->eip <= v->seg[S_CS].limit && (gla & ~PAGE_MASK) <= PAGE_SIZE - 16)
        mmu_host(v, gla, ACC_FETCH, mem_user(v)); // fills the TLB for the next time
    return decode_uncached(v, scratch);
}

// The decoded instruction at CS:EIP; `scratch` takes one that can't be cached.
static inline __attribute__((always_inline)) const struct decoded *
decode(struct vcpu *v, struct decoded *cache, struct decoded *scratch)
{
    const struct seg *cs = &v->seg[S_CS];
    gla_t gla = cs->base + v->eip;
    struct decoded *d = &cache[gla & (DCACHE_SIZE - 1)];
    const u8 *host = code_host(v, gla);
    u64 bytes[2];

    if (unlikely(!host))
        return decode_slow(v, gla, scratch);
    memcpy(bytes, host, sizeof(bytes));
    if (unlikely(((bytes[0] ^ d->bytes[0]) & d->mask[0]) |
                 ((bytes[1] ^ d->bytes[1]) & d->mask[1]) |
                 (d->mode ^ (cs->attr & SEG_DB))))
        return decode_miss(v, d);
    if (unlikely(v->eip > cs->limit || (d->insn.len - 1u > cs->limit - v->eip && cs->limit != ~0u)))
        raise_gp(v, 0);
    return d;
}

// ---- One instruction
void interp_insn(struct vcpu *v, const struct insn *insn)
{
    v->count.interpreted++;
    if (exec_find(v, insn)(v, insn) == DONE_NEXT)
        v->eip += insn->len;
}

static inline bool quiet(const struct vcpu *v)
{
    return !(__atomic_load_n(&v->event, __ATOMIC_RELAXED) | v->shadow | v->halted |
             (v->eflags & (FL_TF | FL_RF)) | (v->dr[7] & 0xff) | DB_PENDING(v));
}

enum cpu_exit cpu_traps(struct vcpu *v)
{
    u32 pending = DB_PENDING(v);

    if (!pending || v->shadow >= 2)
        return CPU_RAN;
    DB_PENDING(v) = 0;
    v->dr[6] |= pending;
    return cpu_deliver(v, EVENT_TRAP, X_DB, 0);
}

// How much of ECX to hold back from a repeated instruction, so that it ends with `left` there; 0 if it is none, or
// has no more to do.
static u32 held_back(const struct vcpu *v, const struct insn *insn, u32 left)
{
    u32 mask = insn->addrsize == 4 ? ~0u : 0xffff;

    if (!(insn->attr & INSN_STRING) || !(insn->prefix & (PFX_REP | PFX_REPNE)))
        return 0;
    return (v->gpr[R_ECX] & mask) > (left & mask) ? left & mask : 0;
}

// One instruction and what belongs to its boundaries, but for interrupts. A fault goes to the
// catcher. *held, 0 or the number of iterations that are to be left, becomes what is held back of ECX.
static void step(struct vcpu *v, struct decoded *cache, struct decoded *scratch, volatile u32 *held)
{
    u32 tf = v->eflags & FL_TF;
    u8 shadow = v->shadow;
    const struct decoded *d;
    enum done done;

    if (v->dr[7] & 0xff && !(v->eflags & FL_RF) && shadow < 2)
        debug_fetch(v, v->seg[S_CS].base + v->eip);
    v->shadow = 0;
    v->eflags &= ~FL_RF;
    v->count.interpreted++;
    d = cache ? decode(v, cache, scratch) : decode_uncached(v, scratch);
    if (unlikely(*held && (*held = held_back(v, &d->insn, *held)))) {
        v->gpr[R_ECX] -= *held;
        do
            done = d->fn(v, &d->insn);
        while (done == DONE_AGAIN);
        v->gpr[R_ECX] += *held;
        v->eflags |= FL_RF;
        done = DONE_AGAIN;
    } else {
        done = d->fn(v, &d->insn);
    }
    if (done == DONE_NEXT)
        v->eip += d->insn.len;
    // A shadow shades one instruction, not a row of them.
    if (shadow >= 2 && v->shadow >= 2)
        v->shadow = 0;
    if (tf && done != DONE_ENTERED && v->shadow < 2 &&
        (done == DONE_JUMPED || !(v->misc_msr[MISC_DEBUGCTL] & DEBUGCTL_BTF)))
        DB_PENDING(v) |= DR6_BS;
}

enum cpu_exit interp_step_until(struct vcpu *v, u32 *left)
{
    jmp_buf catcher, *outer = v->catcher;
    struct decoded scratch;
    volatile u32 held = *left;
    enum cpu_exit exit;

    *left = 0;
    if (_setjmp(catcher)) {
        v->catcher = outer;
        exit = cpu_deliver(v, EVENT_FAULT, v->fault.vector, v->fault.error);
    } else {
        v->catcher = &catcher;
        step(v, NULL, &scratch, &held);
        v->catcher = outer;
        exit = CPU_RAN;
        *left = held;
    }
    if (exit == CPU_RAN)
        exit = cpu_traps(v);
    return exit == CPU_RAN && v->halted ? CPU_HALTED : exit;
}

enum cpu_exit interp_step(struct vcpu *v)
{
    u32 left = 0;

    return interp_step_until(v, &left);
}

// Traps, then interrupts (SDM table 6-2), then the question whether to go on.
static bool boundary(struct vcpu *v, enum cpu_exit *exit)
{
    *exit = cpu_traps(v);
    if (*exit != CPU_RAN)
        return false;
    if (__atomic_load_n(&v->event, __ATOMIC_ACQUIRE) & ~(u32)(EV_INTR | EV_NMI))
        return false;
    cpu_interrupt(v, exit);
    if (*exit == CPU_RAN && v->halted)
        *exit = CPU_HALTED;
    return *exit == CPU_RAN;
}

enum cpu_exit interp_run(struct vcpu *v, u64 budget)
{
    jmp_buf catcher, *outer = v->catcher;
    u64 end = v->count.interpreted + budget;
    struct decoded scratch;
    volatile u32 none = 0;
    enum cpu_exit exit = CPU_RAN;

    if (!v->decoded) {
        v->decoded = aligned_alloc(64, DCACHE_SIZE * sizeof(*v->decoded));
        if (!v->decoded)
            err_no_memory("the interpreter");
        for (unsigned i = 0; i < DCACHE_SIZE; i++)
            v->decoded[i].mode = MODE_EMPTY;
    }
    if (_setjmp(catcher)) {
        v->catcher = outer;
        exit = cpu_deliver(v, EVENT_FAULT, v->fault.vector, v->fault.error);
        if (exit != CPU_RAN)
            return exit;
    }
    v->catcher = &catcher;
    while (v->count.interpreted < end) {
        const struct decoded *d;

        if (unlikely(!quiet(v))) {
            if (!boundary(v, &exit))
                break;
            step(v, v->decoded, &scratch, &none);
            continue;
        }
        v->count.interpreted++;
        d = decode(v, v->decoded, &scratch);
        if (d->fn(v, &d->insn) == DONE_NEXT)
            v->eip += d->insn.len;
    }
    v->catcher = outer;
    return exit;
}

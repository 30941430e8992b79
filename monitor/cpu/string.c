// SPDX-License-Identifier: GPL-2.0-or-later
// MOVS CMPS STOS LODS SCAS, alone and repeated. Registers are up to date after every iteration,
// so a fault or an interrupt leaves the instruction to be taken up again. Plain memory is moved
// a page at a time.
#include "exec.h"
#include "local.h"
#include "mem.h"

static inline unsigned string_size(const struct insn *insn)
{
    return insn->op & 1 ? insn->opsize : 1;
}

static inline u32 string_index(const struct vcpu *v, const struct insn *insn, unsigned reg)
{
    return insn->addrsize == 4 ? v->gpr[reg] : v->gpr[reg] & 0xffff;
}

static inline void string_advance(struct vcpu *v, const struct insn *insn, unsigned reg, u32 by)
{
    reg_write(v, reg, v->gpr[reg] + by, insn->addrsize);
}

static inline u32 string_step(const struct vcpu *v, const struct insn *insn)
{
    return v->eflags & FL_DF ? -string_size(insn) : string_size(insn);
}

static inline gla_t string_source(struct vcpu *v, const struct insn *insn)
{
    return mem_linear(v, insn->seg, string_index(v, insn, R_ESI), string_size(insn), ACC_READ);
}

static inline gla_t string_dest(struct vcpu *v, const struct insn *insn, enum access access)
{
    return mem_linear(v, S_ES, string_index(v, insn, R_EDI), string_size(insn), access);
}

typedef void iteration_fn(struct vcpu *v, const struct insn *insn);
// Does up to `count` iterations at once; returns how many, 0 if that can't be done here.
typedef u32 bulk_fn(struct vcpu *v, const struct insn *insn, u32 count);

// Runs the instruction to its end, or until something wants the processor between two iterations.
// `until` is -1, or the value of ZF that ends the repetition.
static inline enum done string_run(struct vcpu *v, const struct insn *insn, iteration_fn *one,
                                   bulk_fn *bulk, int until)
{
    u32 count, n;
    bool single = mem_iterations_watched(v);

    if (!(insn->prefix & (PFX_REP | PFX_REPNE))) {
        one(v, insn);
        return DONE_NEXT;
    }
    if (single || mem_watched(v))
        bulk = NULL;
    count = string_index(v, insn, R_ECX);
    while (count) {
        n = bulk && count > 1 ? bulk(v, insn, count) : 0;
        if (!n) {
            one(v, insn);
            n = 1;
        }
        count -= n;
        reg_write(v, R_ECX, count, insn->addrsize);
        if (until >= 0 && !!(v->eflags & FL_ZF) == until)
            break;
        if (count && (single || __atomic_load_n(&v->event, __ATOMIC_RELAXED))) {
            v->eflags |= FL_RF; // what is pushed when it is left between iterations
            return DONE_AGAIN;
        }
    }
    return DONE_NEXT;
}

// How many elements from offset on lie within the segment, the page of gla and the address
// size's wrap.
static u32 bulk_span(const struct vcpu *v, const struct insn *insn, unsigned seg, u32 offset,
                     enum access access)
{
    const struct seg *s = &v->seg[seg];
    unsigned size = string_size(insn);
    u32 page = PAGE_SIZE - ((s->base + offset) & ~PAGE_MASK);
    u64 room = insn->addrsize == 2 ? 0x10000 - offset : 0x100000000 - offset;

    if (!seg_allows(v, s, offset, size, access) || s->attr & SEG_E)
        return 0;
    room = MIN(room, (u64)s->limit - offset + 1);
    return MIN(room, page) / size;
}

static void movs_one(struct vcpu *v, const struct insn *insn)
{
    u32 value = mem_read(v, string_source(v, insn), string_size(insn));
    u32 step = string_step(v, insn);

    mem_write(v, string_dest(v, insn, ACC_WRITE), value, string_size(insn));
    string_advance(v, insn, R_ESI, step);
    string_advance(v, insn, R_EDI, step);
}

static u32 movs_bulk(struct vcpu *v, const struct insn *insn, u32 count)
{
    u32 si = string_index(v, insn, R_ESI), di = string_index(v, insn, R_EDI);
    unsigned size = string_size(insn);
    const u8 *from;
    u8 *to;

    if (v->eflags & FL_DF)
        return 0;
    count = MIN(count, bulk_span(v, insn, insn->seg, si, ACC_READ));
    count = MIN(count, bulk_span(v, insn, S_ES, di, ACC_WRITE));
    if (!count)
        return 0;
    from = mmu_host(v, v->seg[insn->seg].base + si, ACC_READ, mem_user(v));
    if (!from)
        return 0;
    to = mmu_host_write(v, v->seg[S_ES].base + di, count * size, mem_user(v));
    if (!to)
        return 0;
    if (to <= from || to >= from + count * size) {
        memmove(to, from, count * size);
    } else if ((size_t)(to - from) < size) {
        return 0; // elements overlap their own sources
    } else {
        // The pattern between them is repeated, as one element after the other gives it.
        for (u32 i = 0; i < count * size; i += size)
            memmove(to + i, from + i, size);
    }
    string_advance(v, insn, R_ESI, count * size);
    string_advance(v, insn, R_EDI, count * size);
    return count;
}

enum done op_movs(struct vcpu *v, const struct insn *insn)
{
    return string_run(v, insn, movs_one, movs_bulk, -1);
}

static void stos_one(struct vcpu *v, const struct insn *insn)
{
    mem_write(v, string_dest(v, insn, ACC_WRITE), v->gpr[R_EAX], string_size(insn));
    string_advance(v, insn, R_EDI, string_step(v, insn));
}

static u32 stos_bulk(struct vcpu *v, const struct insn *insn, u32 count)
{
    u32 di = string_index(v, insn, R_EDI), eax = v->gpr[R_EAX];
    unsigned size = string_size(insn);
    u8 *to;

    if (v->eflags & FL_DF)
        return 0;
    count = MIN(count, bulk_span(v, insn, S_ES, di, ACC_WRITE));
    if (!count)
        return 0;
    to = mmu_host_write(v, v->seg[S_ES].base + di, count * size, mem_user(v));
    if (!to)
        return 0;
    if (size == 1)
        memset(to, eax, count);
    else
        for (u32 i = 0; i < count; i++)
            memcpy(to + i * size, &eax, size);
    string_advance(v, insn, R_EDI, count * size);
    return count;
}

enum done op_stos(struct vcpu *v, const struct insn *insn)
{
    return string_run(v, insn, stos_one, stos_bulk, -1);
}

static void lods_one(struct vcpu *v, const struct insn *insn)
{
    u32 value = mem_read(v, string_source(v, insn), string_size(insn));

    reg_write(v, R_EAX, value, string_size(insn));
    string_advance(v, insn, R_ESI, string_step(v, insn));
}

enum done op_lods(struct vcpu *v, const struct insn *insn)
{
    return string_run(v, insn, lods_one, NULL, -1);
}

static void compare(struct vcpu *v, u32 a, u32 b, unsigned size)
{
    unsigned shift = 32 - 8 * size;
    u32 r, fl = 0;

    // Compared in the top bytes, so that one subtraction serves all sizes; AF and PF are the
    // low byte's.
    if (__builtin_sub_overflow(a << shift, b << shift, &r))
        fl |= FL_CF;
    if (((a ^ b) & (a ^ (a - b))) << shift >> 31)
        fl |= FL_OF;
    if (!r)
        fl |= FL_ZF;
    if (r >> 31)
        fl |= FL_SF;
    if ((a ^ b ^ (a - b)) & 0x10)
        fl |= FL_AF;
    if (!__builtin_parity((a - b) & 0xff))
        fl |= FL_PF;
    v->eflags = (v->eflags & ~FL_ARITH) | fl;
}

static void cmps_one(struct vcpu *v, const struct insn *insn)
{
    unsigned size = string_size(insn);
    // The order shows where both would fault. AMD's look at ES:EDI first, but for REPE CMPSB.
    u32 b = mem_read(v, string_dest(v, insn, ACC_READ), size);
    u32 a = mem_read(v, string_source(v, insn), size);
    u32 step = string_step(v, insn);

    compare(v, a, b, size);
    string_advance(v, insn, R_ESI, step);
    string_advance(v, insn, R_EDI, step);
}

enum done op_cmps(struct vcpu *v, const struct insn *insn)
{
    return string_run(v, insn, cmps_one, NULL, !(insn->prefix & PFX_REP));
}

static void scas_one(struct vcpu *v, const struct insn *insn)
{
    unsigned size = string_size(insn);

    compare(v, reg_read(v, R_EAX, size), mem_read(v, string_dest(v, insn, ACC_READ), size), size);
    string_advance(v, insn, R_EDI, string_step(v, insn));
}

enum done op_scas(struct vcpu *v, const struct insn *insn)
{
    return string_run(v, insn, scas_one, NULL, !(insn->prefix & PFX_REP));
}

// SPDX-License-Identifier: GPL-2.0-or-later
// Memory as instructions see it: segment and offset, or linear, by the current privilege. The
// common case, a hit in the software TLB, is inline; everything else is a call.
#ifndef RING3_MONITOR_CPU_MEM_H
#define RING3_MONITOR_CPU_MEM_H

#include "cpu.h"

#include <string.h>

static inline bool mem_user(const struct vcpu *v)
{
    return v->cpl == 3;
}

// True if accesses must be looked at one by one: breakpoints are enabled, or alignment checks
// may be (CR0.AM and EFLAGS.AC are the same bit).
static inline bool mem_watched(const struct vcpu *v)
{
    return (v->dr[7] & 0xff) | (v->cr0 & v->eflags & FL_AC);
}

// Whether something may want to know of each iteration of a repeated instruction.
static inline bool mem_iterations_watched(const struct vcpu *v)
{
    return v->dr[7] & 0xff || v->eflags & FL_TF;
}

#define SEG_KIND (SEG_P | SEG_S | SEG_CODE | SEG_E | SEG_W)
#define SEG_PLAIN_DATA (SEG_P | SEG_S | SEG_W)

// seg_check, inline for a writable, expand-up data segment.
static inline gla_t mem_linear(struct vcpu *v, unsigned seg, u32 offset, u32 size,
                               enum access access)
{
    const struct seg *s = &v->seg[seg];

    if (likely((s->attr & SEG_KIND) == SEG_PLAIN_DATA && offset <= s->limit &&
               size - 1 <= s->limit - offset && !mem_watched(v)))
        return s->base + offset;
    return seg_check(v, seg, offset, size, access);
}

static inline struct tlb_entry *mem_tlb(struct vcpu *v, gla_t gla)
{
    return &v->tlb[gla >> PAGE_SHIFT & (TLB_SIZE - 1)];
}

// Linear accesses with the privilege of the CPL.
#define MEM_ACCESSORS(bits)                                                                  \
    static inline u##bits mem_read##bits(struct vcpu *v, gla_t gla)                          \
    {                                                                                        \
        const struct tlb_entry *e = mem_tlb(v, gla);                                         \
        u##bits value;                                                                       \
                                                                                             \
        if (unlikely(e->rtag != ((gla & PAGE_MASK) | v->asid) ||                             \
                     (gla & ~PAGE_MASK) > PAGE_SIZE - bits / 8))                             \
            return mmu_read##bits(v, gla, mem_user(v));                                      \
        memcpy(&value, (const void *)(e->addend + gla), sizeof(value));                      \
        return value;                                                                        \
    }                                                                                        \
    static inline void mem_write##bits(struct vcpu *v, gla_t gla, u##bits value)             \
    {                                                                                        \
        const struct tlb_entry *e = mem_tlb(v, gla);                                         \
                                                                                             \
        if (unlikely(e->wtag != ((gla & PAGE_MASK) | v->asid) ||                             \
                     (gla & ~PAGE_MASK) > PAGE_SIZE - bits / 8))                             \
            mmu_write##bits(v, gla, value, mem_user(v));                                     \
        else                                                                                 \
            memcpy((void *)(e->addend + gla), &value, sizeof(value));                        \
    }
MEM_ACCESSORS(8)
MEM_ACCESSORS(16)
MEM_ACCESSORS(32)
MEM_ACCESSORS(64)
#undef MEM_ACCESSORS

static inline u32 mem_read(struct vcpu *v, gla_t gla, unsigned size)
{
    return size == 4 ? mem_read32(v, gla) : size == 2 ? mem_read16(v, gla) : mem_read8(v, gla);
}

static inline void mem_write(struct vcpu *v, gla_t gla, u32 value, unsigned size)
{
    if (size == 4)
        mem_write32(v, gla, value);
    else if (size == 2)
        mem_write16(v, gla, value);
    else
        mem_write8(v, gla, value);
}

// ---- Registers by size.
static inline u8 *reg8(struct vcpu *v, unsigned reg)
{
    return (u8 *)&v->gpr[reg & 3] + (reg >> 2 & 1);
}

static inline u32 reg_read(struct vcpu *v, unsigned reg, unsigned size)
{
    return size == 4 ? v->gpr[reg] : size == 2 ? (u16)v->gpr[reg] : *reg8(v, reg);
}

static inline void reg16_write(struct vcpu *v, unsigned reg, u16 value)
{
    v->gpr[reg] = (v->gpr[reg] & 0xffff0000) | value;
}

static inline void reg_write(struct vcpu *v, unsigned reg, u32 value, unsigned size)
{
    if (size == 4)
        v->gpr[reg] = value;
    else if (size == 2)
        reg16_write(v, reg, value);
    else
        *reg8(v, reg) = value;
}

// ---- The ModRM operand: a register or memory.
static inline u32 mem_ea(struct vcpu *v, const struct insn *insn)
{
    u32 ea = insn->disp;

    if (insn->base >= 0)
        ea += v->gpr[insn->base];
    if (insn->index >= 0)
        ea += v->gpr[insn->index] << insn->scale;
    return insn->addrsize == 2 ? ea & 0xffff : ea;
}

static inline gla_t mem_operand(struct vcpu *v, const struct insn *insn, u32 size,
                                enum access access)
{
    return mem_linear(v, insn->seg, mem_ea(v, insn), size, access);
}

static inline u32 rm_read(struct vcpu *v, const struct insn *insn, unsigned size)
{
    if (!insn->has_mem)
        return reg_read(v, insn->rm, size);
    return mem_read(v, mem_operand(v, insn, size, ACC_READ), size);
}

static inline void rm_write(struct vcpu *v, const struct insn *insn, u32 value, unsigned size)
{
    if (!insn->has_mem)
        reg_write(v, insn->rm, value, size);
    else
        mem_write(v, mem_operand(v, insn, size, ACC_WRITE), value, size);
}

// Guest memory is not aligned.
typedef u16 u16_any __attribute__((aligned(1), may_alias));
typedef u32 u32_any __attribute__((aligned(1), may_alias));

// A ModRM operand that is read, changed and written: rmw_begin checks for writing, so that
// rmw_end can't fault. host is NULL for memory that is not plain (MMIO, code pages, page-crossing).
struct rmw {
    gla_t gla;
    void *host;
};

static inline u32 rmw_begin(struct vcpu *v, const struct insn *insn, unsigned size, struct rmw *m)
{
    const struct tlb_entry *e;

    if (!insn->has_mem) {
        m->gla = 0;
        m->host = size == 1 ? (void *)reg8(v, insn->rm) : (void *)&v->gpr[insn->rm];
    } else {
        m->gla = mem_operand(v, insn, size, ACC_WRITE);
        e = mem_tlb(v, m->gla);
        if (unlikely(e->wtag != ((m->gla & PAGE_MASK) | v->asid) ||
                     (m->gla & ~PAGE_MASK) > PAGE_SIZE - size)) {
            m->host = NULL;
            mmu_probe(v, m->gla, size, ACC_WRITE, mem_user(v));
            return mem_read(v, m->gla, size);
        }
        m->host = (void *)(e->addend + m->gla);
    }
    return size == 4   ? *(u32_any *)m->host
           : size == 2 ? *(u16_any *)m->host
                       : *(u8 *)m->host;
}

static inline void rmw_end(struct vcpu *v, const struct rmw *m, u32 value, unsigned size)
{
    if (unlikely(!m->host))
        mem_write(v, m->gla, value, size);
    else if (size == 4)
        *(u32_any *)m->host = value;
    else if (size == 2)
        *(u16_any *)m->host = value;
    else
        *(u8 *)m->host = value;
}

// ---- The stack. Pushes and pops take and return the stack pointer, so that an instruction can do several and
// commit ESP at its end.
static inline u32 stack_mask(const struct vcpu *v)
{
    return v->seg[S_SS].attr & SEG_DB ? 0xffffffff : 0xffff;
}

static inline u32 stack_push(struct vcpu *v, u32 sp, u32 value, unsigned size)
{
    sp = (sp - size) & stack_mask(v);
    mem_write(v, mem_linear(v, S_SS, sp, size, ACC_WRITE), value, size);
    return sp;
}

static inline u32 stack_pop(struct vcpu *v, u32 *sp, unsigned size)
{
    u32 at = *sp & stack_mask(v);
    u32 value = mem_read(v, mem_linear(v, S_SS, at, size, ACC_READ), size);

    *sp = at + size;
    return value;
}

// Sets ESP, or SP alone where the stack is 16 bits wide.
static inline void stack_commit(struct vcpu *v, u32 sp)
{
    u32 mask = stack_mask(v);

    v->gpr[R_ESP] = (v->gpr[R_ESP] & ~mask) | (sp & mask);
}

#endif

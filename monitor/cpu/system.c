// SPDX-License-Identifier: GPL-2.0-or-later
// The system instructions as decoded: privilege and operand checks, then control.c.
#include "exec.h"
#include "local.h"
#include "mem.h"

static inline void require_cpl0(struct vcpu *v)
{
    if (v->cpl)
        raise_gp(v, 0);
}

// ---- Group 7: SGDT SIDT LGDT LIDT SMSW LMSW INVLPG.
static enum done store_dtable(struct vcpu *v, const struct insn *insn, const struct dtable *t)
{
    u32 ea = mem_ea(v, insn);
    gla_t limit = mem_linear(v, insn->seg, ea, 2, ACC_WRITE);
    gla_t base = mem_linear(v, insn->seg, ea + 2, 4, ACC_WRITE);

    mmu_probe(v, limit, 2, ACC_WRITE, mem_user(v)); // both before either is written
    mmu_probe(v, base, 4, ACC_WRITE, mem_user(v));
    mem_write16(v, limit, t->limit);
    mem_write32(v, base, t->base); // all of it, whatever the operand size
    return DONE_NEXT;
}

static enum done load_dtable(struct vcpu *v, const struct insn *insn, struct dtable *t)
{
    struct dtable new;
    u32 ea = mem_ea(v, insn);

    require_cpl0(v);
    new.limit = mem_read16(v, mem_linear(v, insn->seg, ea, 2, ACC_READ));
    new.base = mem_read32(v, mem_linear(v, insn->seg, ea + 2, 4, ACC_READ));
    if (insn->opsize == 2)
        new.base &= 0xffffff;
    *t = new;
    return DONE_NEXT;
}

static enum done lmsw(struct vcpu *v, const struct insn *insn)
{
    u32 value;

    require_cpl0(v);
    // Sets PE, but never clears it.
    value = (rm_read(v, insn, 2) & 0xf) | (v->cr0 & CR0_PE);
    cpu_write_cr0(v, (v->cr0 & ~0xfu) | value);
    return DONE_NEXT;
}

enum done op_group7(struct vcpu *v, const struct insn *insn)
{
    if (!insn->has_mem && insn->reg != 4 && insn->reg != 6)
        return op_undefined(v, insn);
    switch (insn->reg) {
    case 0:
        return store_dtable(v, insn, &v->gdtr);
    case 1:
        return store_dtable(v, insn, &v->idtr);
    case 2:
        return load_dtable(v, insn, &v->gdtr);
    case 3:
        return load_dtable(v, insn, &v->idtr);
    case 4:
        rm_write(v, insn, v->cr0, insn->has_mem ? 2 : insn->opsize);
        return DONE_NEXT;
    case 6:
        return lmsw(v, insn);
    case 7:
        require_cpl0(v);
        mmu_invlpg(v, v->seg[insn->seg].base + mem_ea(v, insn));
        return DONE_NEXT;
    default:
        return op_undefined(v, insn);
    }
}

// ---- Control and debug registers
enum done op_clts(struct vcpu *v, const struct insn *insn)
{
    (void)insn;
    require_cpl0(v);
    v->cr0 &= ~CR0_TS;
    return DONE_NEXT;
}

// MOV CRn: the ModRM's mod means nothing. CR4 came with the Pentium.
static bool cr_exists(const struct vcpu *v, unsigned cr)
{
    return cr == 0 || cr == 2 || cr == 3 || (cr == 4 && v->model->cr4_mask);
}

enum done op_mov_from_cr(struct vcpu *v, const struct insn *insn)
{
    if (!cr_exists(v, insn->reg))
        return op_undefined(v, insn);
    require_cpl0(v);
    v->gpr[insn->rm] = insn->reg == 0   ? v->cr0
                       : insn->reg == 2 ? v->cr2
                       : insn->reg == 3 ? v->cr3
                                        : v->cr4;
    return DONE_NEXT;
}

enum done op_mov_to_cr(struct vcpu *v, const struct insn *insn)
{
    u32 value = v->gpr[insn->rm];

    if (!cr_exists(v, insn->reg))
        return op_undefined(v, insn);
    require_cpl0(v);
    switch (insn->reg) {
    case 0:
        cpu_write_cr0(v, value);
        break;
    case 2:
        v->cr2 = value;
        break;
    case 3:
        cpu_write_cr3(v, value);
        break;
    case 4:
        cpu_write_cr4(v, value);
        break;
    }
    return DONE_NEXT;
}

// DR4 and DR5 mean DR6 and DR7, or nothing with CR4.DE; with DR7.GD any access is a fault.
static unsigned dr_index(struct vcpu *v, const struct insn *insn)
{
    unsigned dr = insn->reg;

    if (dr == 4 || dr == 5) {
        if (v->cr4 & CR4_DE)
            vcpu_raise(v, X_UD, 0);
        dr += 2;
    }
    require_cpl0(v);
    if (v->dr[7] & DR7_GD) {
        v->dr[6] |= DR6_BD;
        vcpu_raise(v, X_DB, 0);
    }
    return dr;
}

enum done op_mov_from_dr(struct vcpu *v, const struct insn *insn)
{
    unsigned dr = dr_index(v, insn);

    v->gpr[insn->rm] = v->dr[dr];
    return DONE_NEXT;
}

enum done op_mov_to_dr(struct vcpu *v, const struct insn *insn)
{
    unsigned dr = dr_index(v, insn);
    u32 value = v->gpr[insn->rm];

    if (dr == 6)
        value = (value & 0xe00f) | DR6_FIXED1;
    else if (dr == 7)
        value = (value & 0xffff23ff) | DR7_FIXED1;
    v->dr[dr] = value;
    return DONE_NEXT;
}

// ---- The rest
// INVD, WBINVD: there are no caches to see.
enum done op_invd(struct vcpu *v, const struct insn *insn)
{
    (void)insn;
    require_cpl0(v);
    return DONE_NEXT;
}

enum done op_hlt(struct vcpu *v, const struct insn *insn)
{
    (void)insn;
    require_cpl0(v);
    v->halted = true;
    return DONE_NEXT;
}

enum done op_rdmsr(struct vcpu *v, const struct insn *insn)
{
    u64 value;

    (void)insn;
    require_cpl0(v);
    value = cpu_rdmsr(v, v->gpr[R_ECX]);
    v->gpr[R_EAX] = value;
    v->gpr[R_EDX] = value >> 32;
    return DONE_NEXT;
}

enum done op_wrmsr(struct vcpu *v, const struct insn *insn)
{
    (void)insn;
    require_cpl0(v);
    cpu_wrmsr(v, v->gpr[R_ECX], (u64)v->gpr[R_EDX] << 32 | v->gpr[R_EAX]);
    return DONE_NEXT;
}

enum done op_rdtsc(struct vcpu *v, const struct insn *insn)
{
    u64 tsc;

    (void)insn;
    if (v->cpl && v->cr4 & CR4_TSD)
        raise_gp(v, 0);
    tsc = cpu_read_tsc(v);
    v->gpr[R_EAX] = tsc;
    v->gpr[R_EDX] = tsc >> 32;
    return DONE_NEXT;
}

// The P6's two counters, which nothing can start: README.md, "Choices".
enum done op_rdpmc(struct vcpu *v, const struct insn *insn)
{
    (void)insn;
    if ((v->cpl && !(v->cr4 & CR4_PCE)) || v->gpr[R_ECX] > 1)
        raise_gp(v, 0);
    v->gpr[R_EAX] = v->gpr[R_EDX] = 0;
    return DONE_NEXT;
}

enum done op_cpuid(struct vcpu *v, const struct insn *insn)
{
    u32 out[4];

    (void)insn;
    cpu_cpuid(v, v->gpr[R_EAX], v->gpr[R_ECX], out);
    v->gpr[R_EAX] = out[0];
    v->gpr[R_EBX] = out[1];
    v->gpr[R_ECX] = out[2];
    v->gpr[R_EDX] = out[3];
    return DONE_NEXT;
}

// SYSENTER and SYSEXIT load flat segments without looking at any table.
static void flat_segments(struct vcpu *v, u16 cs, u16 ss, unsigned cpl)
{
    u16 common = SEG_G | SEG_DB | SEG_P | cpl << SEG_DPL_SHIFT | SEG_S | SEG_A;

    v->seg[S_CS] = (struct seg){ cs, common | SEG_CODE | SEG_R, 0, 0xffffffff };
    v->seg[S_SS] = (struct seg){ ss, common | SEG_W, 0, 0xffffffff };
    cpu_set_cpl(v, cpl);
}

enum done op_sysenter(struct vcpu *v, const struct insn *insn)
{
    u16 cs = v->sysenter_cs & 0xfffc;

    (void)insn;
    if (cpu_real(v) || !cs)
        raise_gp(v, 0);
    v->eflags &= ~(FL_VM | FL_IF | FL_RF);
    flat_segments(v, cs, cs + 8, 0);
    v->gpr[R_ESP] = v->sysenter_esp;
    v->eip = v->sysenter_eip;
    return DONE_JUMPED;
}

enum done op_sysexit(struct vcpu *v, const struct insn *insn)
{
    u16 cs = v->sysenter_cs & 0xfffc;

    (void)insn;
    if (cpu_real(v) || v->cpl || !cs)
        raise_gp(v, 0);
    flat_segments(v, (cs + 16) | 3, (cs + 24) | 3, 3);
    v->gpr[R_ESP] = v->gpr[R_ECX];
    v->eip = v->gpr[R_EDX];
    return DONE_JUMPED;
}

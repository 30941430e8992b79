// SPDX-License-Identifier: GPL-2.0-or-later
// MMX and SSE: the instructions of simd_form.c run on the host's unit, on copies of their operands;
// the others are here in C.
#include "cpu.h"
#include "fpu.h"
#include "fpu_host.h"
#include "simd_form.h"

static bool user(const struct vcpu *v)
{
    return v->cpl == 3;
}

// The checks before an instruction that uses XMM registers or MXCSR, MMX registers, or both (SDM
// volume 3, 13.1.3 and 12.1). False: v->eip is set so that it is executed again (see fpu_wait).
static bool available(struct vcpu *v, const struct insn *insn, bool xmm, bool mmx)
{
    if ((v->cr0 & CR0_EM) || (xmm && !(v->cr4 & CR4_OSFXSR)))
        vcpu_raise(v, X_UD, 0);
    if (v->cr0 & CR0_TS)
        vcpu_raise(v, X_NM, 0);
    if (!mmx || fpu_wait(v))
        return true;
    v->eip -= insn->len; // the caller advances it
    return false;
}

// ---- Registers. An MMX instruction leaves the x87 stack with TOP = 0 and every register valid.
static void mmx_enter(u8 *fx)
{
    fpu_set_top(fx, 0);
    fx[FX_FTW] = 0xff;
}

static void mmx_read(const struct vcpu *v, unsigned n, u8 *value)
{
    memcpy(value, v->fx + fpu_reg_at(v->fx, n), 8);
}

// After mmx_enter. Writing sets the exponent and sign to ones.
static void mmx_write(struct vcpu *v, unsigned n, const u8 *value)
{
    memcpy(v->fx + FX_ST + 16 * n, value, 8);
    fx_put16(v->fx, FX_ST + 16 * n + 8, 0xffff);
}

static u8 *xmm(struct vcpu *v, unsigned n)
{
    return v->fx + FX_XMM + 16 * n;
}

// ---- Running a stub. Raises #XM, or #UD where the system hasn't announced a handler for it, if
// the instruction raises an exception that the guest's MXCSR doesn't mask: flags set, destination
// as it was.
static void run(struct vcpu *v, struct fpu_host *h, fpu_host_fn *host, const u8 *stub)
{
    u32 mxcsr = fx_get32(v->fx, FX_MXCSR);

    h->flags = v->eflags & FL_ARITH;
    if (likely((mxcsr & MXCSR_MASKS) == MXCSR_MASKS)) {
        h->mxcsr = mxcsr;
        host(h, stub);
        fx_put32(v->fx, FX_MXCSR, h->mxcsr);
        return;
    }
    // Most instructions raise nothing, and a run with everything masked tells, except that masked
    // underflow needs an inexact result where unmasked underflow doesn't.
    if (mxcsr & MXCSR_UM) {
        struct fpu_host masked = *h;
        u32 raised;

        masked.mxcsr = (mxcsr | MXCSR_MASKS) & ~MXCSR_FLAGS;
        host(&masked, stub);
        raised = masked.mxcsr & MXCSR_FLAGS;
        if (!(raised & ~(mxcsr >> MXCSR_MASK_SHIFT))) {
            *h = masked;
            fx_put32(v->fx, FX_MXCSR, mxcsr | raised);
            return;
        }
    }
    h->mxcsr = mxcsr;
    fpu_host_trap(host, h, stub);
    fx_put32(v->fx, FX_MXCSR, h->mxcsr);
    if (h->faulted)
        vcpu_raise(v, v->cr4 & CR4_OSXMMEXCPT ? X_XM : X_UD, 0);
}

static const u8 *find_stub(const struct insn *insn, const struct simd_form *form, unsigned prefix)
{
    u8 op = insn->op;

    if (form->imm)
        return fpu_stub_imm[form->imm - 1][insn->has_mem][(u8)insn->imm];
    if (insn->op >> 8 == MAP_0F38)
        return fpu_stub_0f38[op][prefix][insn->has_mem];
    return fpu_stub_0f[op][prefix][insn->has_mem];
}

// Copies one register operand into slot 0 (ModRM.reg) or 1 (ModRM.rm) of the block.
static void load(struct vcpu *v, struct fpu_host *h, unsigned kind, unsigned n, unsigned slot)
{
    if (kind == KIND_X)
        memcpy(h->xmm[1 + slot], xmm(v, n), 16);
    else if (kind == KIND_M)
        mmx_read(v, n, h->mm[slot]);
    else
        *(slot ? &h->edx : &h->ecx) = v->gpr[n];
}

static void store(struct vcpu *v, const struct fpu_host *h, unsigned kind, unsigned n,
                  unsigned slot)
{
    if (kind == KIND_X)
        memcpy(xmm(v, n), h->xmm[1 + slot], 16);
    else if (kind == KIND_M)
        mmx_write(v, n, h->mm[slot]);
    else
        v->gpr[n] = slot ? h->edx : h->ecx;
}

static void execute(struct vcpu *v, const struct insn *insn, const struct simd_form *form,
                    unsigned prefix)
{
    bool mmx = form->reg == KIND_M || (form->rm == KIND_M && !insn->has_mem);
    bool to_memory = insn->has_mem && (form->flags & FORM_STORE);
    struct fpu_host h = { 0 };
    gla_t gla = 0;

    if (!available(v, insn, form->reg == KIND_X || form->rm == KIND_X, mmx))
        return;
    if (insn->has_mem) {
        // Misalignment goes before the segment's limit, which could be #SS.
        if (form->flags & FORM_ALIGNED && ((v->seg[insn->seg].base + op_ea(v, insn)) & 15))
            vcpu_raise(v, X_GP, 0);
        gla = op_mem(v, insn, form->size, to_memory ? ACC_WRITE : ACC_READ);
        if (form->size == 16 && (gla & 15)) {
            if (user(v) && v->cr0 & v->eflags & FL_AC) // as most processors do
                vcpu_raise(v, X_AC, 0);
        }
        if (!to_memory)
            mmu_read(v, gla, h.mem, form->size, user(v));
    } else {
        load(v, &h, form->rm, insn->rm, 1);
    }
    load(v, &h, form->reg, insn->reg, 0);
    memcpy(h.xmm[0], xmm(v, 0), 16);
    h.eax = v->gpr[R_EAX];
    if (form->flags & FORM_LENGTHS)
        h.edx = v->gpr[R_EDX];
    // The stack becomes MMX registers even if #XM follows (CVTPI2PS).
    if (mmx && !to_memory)
        mmx_enter(v->fx);
    run(v, &h, mmx ? fpu_host_mmx : fpu_host_xmm, find_stub(insn, form, prefix));

    if (to_memory)
        mmu_write(v, gla, h.mem, form->size, user(v)); // the last thing that can fault
    v->eflags = (v->eflags & ~FL_ARITH) | (h.flags & FL_ARITH);
    if (mmx)
        mmx_enter(v->fx);
    if (form->flags & FORM_INDEX)
        v->gpr[R_ECX] = h.ecx;
    else if (form->flags & FORM_XMM0)
        memcpy(xmm(v, 0), h.xmm[0], 16);
    else if (!(form->flags & FORM_STORE))
        store(v, &h, form->reg, insn->reg, 0);
    else if (!insn->has_mem)
        store(v, &h, form->rm, insn->rm, 1);
}

// ---- 0F 71 to 73: shifts by an immediate, which are the shifts by a register with another
// encoding.
static u8 shift_opcode(const struct insn *insn)
{
    static const u8 opcode[3][8] = {
        { 0, 0, 0xd1, 0, 0xe1, 0, 0xf1, 0 },
        { 0, 0, 0xd2, 0, 0xe2, 0, 0xf2, 0 },
        { 0, 0, 0xd3, 0, 0, 0, 0xf3, 0 },
    };

    return opcode[(insn->op & 0xff) - 0x71][insn->reg];
}

// PSRLDQ and PSLLDQ: by bytes.
static void shift_bytes(u8 *x, unsigned count, bool left)
{
    u8 wide[48] = { 0 };

    memcpy(wide + 16, x, 16);
    count = MIN(count, 16);
    memcpy(x, wide + 16 + (left ? -(int)count : (int)count), 16);
}

static void shift_immediate(struct vcpu *v, const struct insn *insn)
{
    bool sse = insn->prefix & PFX_66;
    bool bytes = sse && insn->op == OP0F(0x73) && (insn->reg == 3 || insn->reg == 7);
    u8 op = shift_opcode(insn);
    struct fpu_host h = { 0 };

    if (insn->has_mem || (insn->prefix & (PFX_REP | PFX_REPNE)) || (!op && !bytes))
        vcpu_raise(v, X_UD, 0);
    if (!available(v, insn, sse, !sse))
        return;
    if (bytes) {
        shift_bytes(xmm(v, insn->rm), (u8)insn->imm, insn->reg == 7);
        return;
    }
    load(v, &h, sse ? KIND_X : KIND_M, insn->rm, 0);
    (sse ? h.xmm[2] : h.mm[1])[0] = insn->imm;
    run(v, &h, sse ? fpu_host_xmm : fpu_host_mmx, fpu_stub_0f[op][sse][0]);
    if (!sse)
        mmx_enter(v->fx);
    store(v, &h, sse ? KIND_X : KIND_M, insn->rm, 0);
}

// ---- MASKMOVQ and MASKMOVDQU write only bytes whose mask bit is set, but all must be writable, on the host's processors.
static void maskmov(struct vcpu *v, const struct insn *insn)
{
    bool sse = insn->prefix & PFX_66;
    unsigned size = sse ? 16 : 8;
    u8 value[16], mask[16];
    u32 di = insn->addrsize == 2 ? (u16)v->gpr[R_EDI] : v->gpr[R_EDI];
    gla_t gla;

    if (insn->has_mem || (insn->prefix & (PFX_REP | PFX_REPNE)))
        vcpu_raise(v, X_UD, 0);
    if (!available(v, insn, sse, !sse))
        return;
    if (sse) {
        memcpy(value, xmm(v, insn->reg), 16);
        memcpy(mask, xmm(v, insn->rm), 16);
    } else {
        mmx_read(v, insn->reg, value);
        mmx_read(v, insn->rm, mask);
    }
    if (sse && di == -8u) { // two accesses of eight bytes, of which neither runs over 4 GiB
        gla = seg_check(v, insn->seg, di, 8, ACC_WRITE);
        mmu_probe(v, seg_check(v, insn->seg, 0, 8, ACC_WRITE), 8, ACC_WRITE, user(v));
        mmu_probe(v, gla, 8, ACC_WRITE, user(v));
    } else {
        gla = seg_check(v, insn->seg, di, size, ACC_WRITE);
        mmu_probe(v, gla, size, ACC_WRITE, user(v));
    }
    for (unsigned i = 0; i < size; i++)
        if (mask[i] & 0x80)
            mmu_write8(v, gla + i, value[i], user(v));
    if (!sse)
        mmx_enter(v->fx);
}

// ---- 0F AE: state, fences, cache lines.
static void group15(struct vcpu *v, const struct insn *insn)
{
    u32 mxcsr;
    gla_t gla;

    if (insn->prefix & (PFX_66 | PFX_REP | PFX_REPNE))
        vcpu_raise(v, X_UD, 0);
    switch (insn->reg | (insn->has_mem ? 0 : 8)) {
    case 0:
        fpu_fxsave(v, insn);
        break;
    case 1:
        fpu_fxrstor(v, insn);
        break;
    case 2: // LDMXCSR
        available(v, insn, true, false);
        mxcsr = mmu_read32(v, op_mem(v, insn, 4, ACC_READ), user(v));
        if (mxcsr & ~fpu_mxcsr_mask(v))
            vcpu_raise(v, X_GP, 0);
        fx_put32(v->fx, FX_MXCSR, mxcsr);
        break;
    case 3: // STMXCSR
        available(v, insn, true, false);
        mmu_write32(v, op_mem(v, insn, 4, ACC_WRITE), fx_get32(v->fx, FX_MXCSR), user(v));
        break;
    case 7: // CLFLUSH is checked as the load of a byte, but may name an execute-only segment
        gla = op_mem(v, insn, 1, v->cr0 & CR0_PE && v->seg[insn->seg].attr & SEG_CODE ? ACC_FETCH : ACC_READ);
        mmu_probe(v, gla, 1, ACC_READ, user(v));
        break;
    case 8 | 5: // LFENCE, MFENCE, SFENCE: one virtual CPU sees its own accesses in order
    case 8 | 6:
    case 8 | 7:
        break;
    default:
        vcpu_raise(v, X_UD, 0);
    }
}

// MOVNTI, which needs neither SSE registers nor their enabling.
static void movnti(struct vcpu *v, const struct insn *insn)
{
    if (!insn->has_mem || (insn->prefix & (PFX_66 | PFX_REP | PFX_REPNE)))
        vcpu_raise(v, X_UD, 0);
    mmu_write32(v, op_mem(v, insn, 4, ACC_WRITE), v->gpr[insn->reg], user(v));
}

static void emms(struct vcpu *v, const struct insn *insn)
{
    if (insn->prefix & (PFX_66 | PFX_REP | PFX_REPNE))
        vcpu_raise(v, X_UD, 0);
    if (!available(v, insn, false, true))
        return;
    mmx_enter(v->fx);
    v->fx[FX_FTW] = 0;
}

void interp_simd(struct vcpu *v, const struct insn *insn)
{
    const struct simd_form *form;
    unsigned prefix;

    cpu_fpu_acquire(v);
    if (insn->prefix & PFX_LOCK)
        vcpu_raise(v, X_UD, 0);
    switch (insn->op) {
    case OP0F(0x0d): // PREFETCHW and PREFETCHh are hints that never fault
    case OP0F(0x18):
        break;
    case OP0F(0x71):
    case OP0F(0x72):
    case OP0F(0x73):
        shift_immediate(v, insn);
        break;
    case OP0F(0x77):
        emms(v, insn);
        break;
    case OP0F(0xae):
        group15(v, insn);
        break;
    case OP0F(0xc3):
        movnti(v, insn);
        break;
    case OP0F(0xf7):
        maskmov(v, insn);
        break;
    default:
        form = simd_form_find(insn, &prefix);
        if (!form)
            vcpu_raise(v, X_UD, 0);
        execute(v, insn, form, prefix);
    }
}

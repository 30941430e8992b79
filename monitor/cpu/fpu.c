// SPDX-License-Identifier: GPL-2.0-or-later
// The floating-point unit's state: reset, pending exceptions, FXSAVE and FXRSTOR.
#include "cpu.h"
#include "fpu.h"

void fpu_reset(struct vcpu *v)
{
    cpu_fpu_acquire(v);
    memset(v->fx, 0, sizeof(v->fx));
    fpu_init(v->fx);
    fx_put32(v->fx, FX_MXCSR, MXCSR_RESET);
    fpu_changed(v);
}

u32 fpu_mxcsr_mask(const struct vcpu *v)
{
    if (!v->model || cpu_model_has(v->model, ISA_SSE2))
        return 0xffff;
    // DAZ (bit 6) came with the Pentium 4.
    return cpu_model_has(v->model, ISA_SSE) ? 0xffbf : 0;
}

u32 fpu_host_mxcsr_mask(void)
{
    u8 fx[512] __attribute__((aligned(16))) = { 0 };
    u32 mask;

    __asm__("fxsave %0" : "+m"(fx));
    mask = fx_get32(fx, FX_MXCSR_MASK);
    return mask ? mask : 0xffbf;
}

// FERR# and IGNNE# as a PC wires them (SDM volume 1, D.2.1.2): FERR# raises IRQ 13, and the
// processor waits for it; its handler writes port F0, which makes IGNNE# let the instruction pass
// if the handler comes back without having cleared the exception. So an exception that has already
// asserted FERR# is ignored. With interrupts disabled hardware would wait for good; we go on.
bool fpu_wait(struct vcpu *v)
{
    if (likely(!fpu_pending(v->fx)))
        return true;
    if (v->cr0 & CR0_NE)
        vcpu_raise(v, X_MF, 0);
    if (!v->ferr || v->ferr_level)
        return true;
    v->ferr_level = true;
    v->ferr(v->pic, true);
    return !(v->eflags & FL_IF) || !(__atomic_load_n(&v->event, __ATOMIC_SEQ_CST) & EV_INTR);
}

void fpu_changed(struct vcpu *v)
{
    fpu_normalise(v->fx);
    if (unlikely(v->ferr_level) && !fpu_pending(v->fx)) {
        v->ferr_level = false;
        if (v->ferr)
            v->ferr(v->pic, false);
    }
}

// The operand of FXSAVE and FXRSTOR.
static gla_t fx_operand(struct vcpu *v, const struct insn *insn, enum access access)
{
    gla_t gla;

    if (v->cr0 & (CR0_EM | CR0_TS))
        vcpu_raise(v, X_NM, 0);
    gla = op_mem(v, insn, FX_SIZE, access);
    if (gla & 15)
        vcpu_raise(v, X_GP, 0);
    return gla;
}

void fpu_fxsave(struct vcpu *v, const struct insn *insn)
{
    gla_t gla = fx_operand(v, insn, ACC_WRITE);
    bool user = v->cpl == 3;
    u32 mask = fpu_mxcsr_mask(v);

    mmu_probe(v, gla, FX_SIZE, ACC_WRITE, user);
    // Without SSE, or before the system says it knows of it, only the x87 part and MXCSR are
    // written.
    fx_put32(v->fx, FX_MXCSR_MASK, mask);
    mmu_write(v, gla, v->fx, mask ? FX_ST : FX_MXCSR, user);
    mmu_write(v, gla + FX_ST, v->fx + FX_ST, FX_XMM - FX_ST, user);
    if (mask && (v->cr4 & CR4_OSFXSR))
        mmu_write(v, gla + FX_XMM, v->fx + FX_XMM, FX_USED - FX_XMM, user);
}

void fpu_fxrstor(struct vcpu *v, const struct insn *insn)
{
    gla_t gla = fx_operand(v, insn, ACC_READ);
    u32 mask = fpu_mxcsr_mask(v);
    u8 fx[FX_SIZE];

    mmu_read(v, gla, fx, FX_SIZE, v->cpl == 3);
    if (mask && (fx_get32(fx, FX_MXCSR) & ~mask))
        vcpu_raise(v, X_GP, 0);
    fx_put16(fx, FX_FCW, (fx_get16(fx, FX_FCW) & FCW_BITS) | FCW_ONE);
    fx[FX_FTW + 1] = 0;
    fx_put16(fx, FX_FOP, fx_get16(fx, FX_FOP) & FOP_BITS);
    fx_put16(fx, FX_FCS + 2, 0);
    fx_put16(fx, FX_FDS + 2, 0);
    for (unsigned i = 0; i < 8; i++)
        memset(fx + FX_ST + 16 * i + 10, 0, 6);
    memcpy(v->fx, fx, FX_MXCSR);
    memcpy(v->fx + FX_ST, fx + FX_ST, FX_XMM - FX_ST);
    if (mask)
        memcpy(v->fx + FX_MXCSR, fx + FX_MXCSR, 4);
    if (mask && (v->cr4 & CR4_OSFXSR))
        memcpy(v->fx + FX_XMM, fx + FX_XMM, FX_USED - FX_XMM);
    fpu_changed(v);
}

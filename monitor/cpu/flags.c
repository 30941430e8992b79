// SPDX-License-Identifier: GPL-2.0-or-later
// Who may change which of EFLAGS: POPF, IRET, CLI, STI, with the virtual interrupt flag of VME
// and PVI (SDM 3B chapter 21.3 and volume 3A 2.3).
#include "exec.h"
#include "local.h"

#define FL_ALWAYS (FL_ARITH | FL_TF | FL_DF | FL_NT)

u32 flags_changeable(const struct vcpu *v, unsigned size)
{
    u32 mask = FL_ALWAYS | FL_RF | FL_AC;

    if (v->model->has_cpuid)
        mask |= FL_ID;
    if (cpu_v86(v)) {
        mask |= FL_IF; // only with IOPL 3 does anything come here
    } else {
        if (cpu_real(v) || v->cpl == 0)
            mask |= FL_IOPL;
        if (cpu_real(v) || v->cpl <= vcpu_iopl(v))
            mask |= FL_IF;
    }
    return size == 4 ? mask : mask & 0xffff;
}

void flags_write(struct vcpu *v, u32 value, u32 mask)
{
    v->eflags = (v->eflags & ~mask) | (value & mask) | FL_FIXED1;
}

u32 flags_from_vme(struct vcpu *v, u16 image)
{
    u32 fl;

    if (image & FL_TF || (image & FL_IF && v->eflags & FL_VIP))
        raise_gp(v, 0);
    fl = (v->eflags & ~(FL_ALWAYS | FL_VIF)) | (image & FL_ALWAYS) | FL_FIXED1;
    return image & FL_IF ? fl | FL_VIF : fl;
}

u16 flags_to_vme(const struct vcpu *v)
{
    u16 image = (v->eflags | FL_IOPL) & ~FL_IF;

    return v->eflags & FL_VIF ? image | FL_IF : image;
}

// Which flag CLI and STI act on: IF, VIF, or none (0) for #GP.
static u32 interrupt_flag(const struct vcpu *v)
{
    if (cpu_real(v) || v->cpl <= vcpu_iopl(v))
        return FL_IF;
    if (cpu_v86(v) ? v->cr4 & CR4_VME : v->cpl == 3 && v->cr4 & CR4_PVI)
        return FL_VIF;
    return 0;
}

enum done op_cli(struct vcpu *v, const struct insn *insn)
{
    u32 flag = interrupt_flag(v);

    (void)insn;
    if (!flag)
        raise_gp(v, 0);
    v->eflags &= ~flag;
    return DONE_NEXT;
}

enum done op_sti(struct vcpu *v, const struct insn *insn)
{
    u32 flag = interrupt_flag(v);

    (void)insn;
    if (!flag || (flag == FL_VIF && v->eflags & FL_VIP))
        raise_gp(v, 0);
    if (flag == FL_IF && !(v->eflags & FL_IF))
        v->shadow = 1;
    v->eflags |= flag;
    return DONE_NEXT;
}

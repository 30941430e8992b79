// SPDX-License-Identifier: GPL-2.0-or-later
#include "vcpu.h"

#include <string.h>

_Noreturn void vcpu_raise(struct vcpu *v, u8 vector, u32 error)
{
    CHECK(v->catcher);
    v->fault = (struct fault){ vector, error };
    _longjmp(*v->catcher, 1);
}

void vcpu_record_fault(struct vcpu *v, u8 vector, u32 error)
{
    struct fault_record *r = &v->recent[v->recent_count++ % FAULT_RECORDS];

    memcpy(r->gpr, v->gpr, sizeof(r->gpr));
    r->eip = v->eip;
    r->eflags = v->eflags;
    r->cr0 = v->cr0;
    r->cr2 = v->cr2;
    r->cr3 = v->cr3;
    r->error = error;
    r->cs = v->seg[S_CS].sel;
    r->ss = v->seg[S_SS].sel;
    r->vector = vector;
    r->cpl = v->cpl;
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "vcpu.h"

_Noreturn void vcpu_raise(struct vcpu *v, u8 vector, u32 error)
{
    CHECK(v->catcher);
    v->fault = (struct fault){ vector, error };
    _longjmp(*v->catcher, 1);
}

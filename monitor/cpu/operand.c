// SPDX-License-Identifier: GPL-2.0-or-later
#include "mem.h"

u32 op_ea(struct vcpu *v, const struct insn *insn)
{
    return mem_ea(v, insn);
}

gla_t op_mem(struct vcpu *v, const struct insn *insn, u32 size, enum access access)
{
    return mem_operand(v, insn, size, access);
}

// SPDX-License-Identifier: GPL-2.0-or-later
// Alignment checks and the debug registers (SDM volume 3B, chapter 18).
//
//   DR7: 31-30 LEN3 | 29-28 RW3 | ... | 17-16 RW0 | 13 GD | 7 G3 | 6 L3 | ... | 1 G0 | 0 L0
#include "local.h"
#include "mem.h"

enum { RW_EXECUTE, RW_WRITE, RW_IO, RW_ACCESS };

static unsigned bp_rw(const struct vcpu *v, unsigned i)
{
    return v->dr[7] >> (16 + 4 * i) & 3;
}

static u32 bp_len(const struct vcpu *v, unsigned i)
{
    static const u8 len[4] = { 1, 2, 8, 4 };

    return len[v->dr[7] >> (18 + 4 * i) & 3];
}

static bool bp_enabled(const struct vcpu *v, unsigned i)
{
    return v->dr[7] >> 2 * i & 3;
}

// The DR6 bits of breakpoints of the kinds in `kinds` that overlap [addr, addr+size): all of
// them once an enabled one does, as processors report also those that are not enabled.
static u32 matches(const struct vcpu *v, u32 addr, u32 size, u32 kinds)
{
    u32 hit = 0;
    bool enabled = false;

    for (unsigned i = 0; i < 4; i++) {
        u32 len = bp_len(v, i), base = v->dr[i] & ~(len - 1);

        if (!(kinds >> bp_rw(v, i) & 1))
            continue;
        if (addr - base < len || base - addr < size) {
            hit |= BIT(i);
            enabled = enabled || bp_enabled(v, i);
        }
    }
    return enabled ? hit : 0;
}

// What an operand of `size` bytes must be aligned to (SDM table 6-7).
static u32 required_alignment(u32 size)
{
    switch (size) {
    case 2:
    case 4:
    case 8:
        return size;
    case 10:
        return 8;
    case 6: // pseudo-descriptors and 48-bit pointers
    case 28:
    case 94:
    case 108:
        return size == 94 ? 2 : 4;
    case 14:
        return 2;
    default:
        return 1;
    }
}

void debug_access(struct vcpu *v, gla_t gla, u32 size, enum access access)
{
    if (v->cpl == 3 && v->cr0 & v->eflags & FL_AC && gla & (required_alignment(size) - 1))
        vcpu_raise(v, X_AC, 0);
    debug_data(v, gla, size, access);
}

void debug_data(struct vcpu *v, gla_t gla, u32 size, enum access access)
{
    if (v->dr[7] & 0xff && access != ACC_FETCH)
        DB_PENDING(v) |= matches(v, gla, size,
                                 access == ACC_WRITE ? BIT(RW_WRITE) | BIT(RW_ACCESS)
                                                     : BIT(RW_ACCESS));
}

void debug_io(struct vcpu *v, u32 port, u32 size)
{
    if (v->dr[7] & 0xff && v->cr4 & CR4_DE)
        DB_PENDING(v) |= matches(v, port, size, BIT(RW_IO));
}

void debug_fetch(struct vcpu *v, gla_t gla)
{
    u32 hit = 0;
    bool enabled = false;

    for (unsigned i = 0; i < 4; i++)
        if (bp_rw(v, i) == RW_EXECUTE && v->dr[i] == gla) {
            hit |= BIT(i);
            enabled = enabled || bp_enabled(v, i);
        }
    if (!enabled)
        return;
    v->dr[6] |= hit;
    vcpu_raise(v, X_DB, 0);
}

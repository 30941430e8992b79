// SPDX-License-Identifier: GPL-2.0-or-later
// IN, OUT, INS, OUTS and their permission (SDM volume 1, 19.5).
#include "exec.h"
#include "local.h"
#include "mem.h"

// The I/O permission bitmap lies in the 32-bit TSS; two bytes of it are read whatever the port.
static void io_check(struct vcpu *v, u16 port, unsigned size)
{
    unsigned type = v->tr.attr & SEG_TYPE;
    u32 at;
    u16 bits;

    if (cpu_real(v) || (!cpu_v86(v) && v->cpl <= vcpu_iopl(v)))
        return;
    if (!(v->tr.attr & SEG_P) || (type != SYS_TSS32 && type != SYS_TSS32_BUSY) ||
        v->tr.limit < 0x67)
        raise_gp(v, 0);
    at = mmu_read16(v, v->tr.base + 0x66, false) + (port >> 3);
    if (at + 1 > v->tr.limit)
        raise_gp(v, 0);
    bits = mmu_read16(v, v->tr.base + at, false);
    if (bits >> (port & 7) & (BIT(size) - 1))
        raise_gp(v, 0);
}

static u32 port_read(struct vcpu *v, u16 port, unsigned size)
{
    v->count.io++;
    debug_io(v, port, size);
    return bus_read(v->bus, BUS_PORT, port, size);
}

static void port_write(struct vcpu *v, u16 port, u32 value, unsigned size)
{
    if (size < 4)
        value &= BIT(8 * size) - 1;
    v->count.io++;
    debug_io(v, port, size);
    bus_write(v->bus, BUS_PORT, port, value, size);
}

static inline unsigned io_size(const struct insn *insn)
{
    return insn->op & 1 ? insn->opsize : 1;
}

// E4-E7 name the port, EC-EF have it in DX.
static inline u16 io_port(const struct vcpu *v, const struct insn *insn)
{
    return insn->op & 8 ? v->gpr[R_EDX] : insn->imm & 0xff;
}

enum done op_in(struct vcpu *v, const struct insn *insn)
{
    u16 port = io_port(v, insn);
    unsigned size = io_size(insn);

    io_check(v, port, size);
    reg_write(v, R_EAX, port_read(v, port, size), size);
    return DONE_NEXT;
}

enum done op_out(struct vcpu *v, const struct insn *insn)
{
    u16 port = io_port(v, insn);
    unsigned size = io_size(insn);

    io_check(v, port, size);
    port_write(v, port, v->gpr[R_EAX], size);
    return DONE_NEXT;
}

// The destination must be known to be writable before the device gives up a value.
static void ins_one(struct vcpu *v, const struct insn *insn)
{
    unsigned size = io_size(insn);
    u32 di = insn->addrsize == 4 ? v->gpr[R_EDI] : v->gpr[R_EDI] & 0xffff;
    gla_t gla = mem_linear(v, S_ES, di, size, ACC_WRITE);

    mmu_probe(v, gla, size, ACC_WRITE, mem_user(v));
    mem_write(v, gla, port_read(v, v->gpr[R_EDX], size), size);
    reg_write(v, R_EDI, v->gpr[R_EDI] + (v->eflags & FL_DF ? -size : size), insn->addrsize);
}

static void outs_one(struct vcpu *v, const struct insn *insn)
{
    unsigned size = io_size(insn);
    u32 si = insn->addrsize == 4 ? v->gpr[R_ESI] : v->gpr[R_ESI] & 0xffff;
    u32 value = mem_read(v, mem_linear(v, insn->seg, si, size, ACC_READ), size);

    port_write(v, v->gpr[R_EDX], value, size);
    reg_write(v, R_ESI, v->gpr[R_ESI] + (v->eflags & FL_DF ? -size : size), insn->addrsize);
}

static enum done io_string(struct vcpu *v, const struct insn *insn,
                           void (*one)(struct vcpu *, const struct insn *))
{
    u32 count;

    io_check(v, v->gpr[R_EDX], io_size(insn));
    if (!(insn->prefix & (PFX_REP | PFX_REPNE))) {
        one(v, insn);
        return DONE_NEXT;
    }
    count = reg_read(v, R_ECX, insn->addrsize);
    while (count) {
        one(v, insn);
        reg_write(v, R_ECX, --count, insn->addrsize);
        if (count && (mem_iterations_watched(v) ||
                      __atomic_load_n(&v->event, __ATOMIC_RELAXED))) {
            v->eflags |= FL_RF;
            return DONE_AGAIN;
        }
    }
    return DONE_NEXT;
}

enum done op_ins(struct vcpu *v, const struct insn *insn)
{
    return io_string(v, insn, ins_one);
}

enum done op_outs(struct vcpu *v, const struct insn *insn)
{
    return io_string(v, insn, outs_one);
}

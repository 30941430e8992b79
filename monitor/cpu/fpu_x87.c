// SPDX-License-Identifier: GPL-2.0-or-later
// D8-DF and FWAIT: control instructions here in C, arithmetic by the host's own unit.
#include "cpu.h"
#include "fpu.h"
#include "fpu_host.h"
#include "local.h"
#include "mem.h"

#define ESC(op) ((op)-0xd8)

// Memory operands by opcode and ModRM.reg: bytes, negative if the instruction stores. 0: none, or a
// control instruction (below).
static const i8 mem_operand_size[8][8] = {
    { 4, 4, 4, 4, 4, 4, 4, 4 },       // D8: arithmetic m32
    { 4, 0, -4, -4, 0, 0, 0, 0 },     // D9: FLD FST FSTP m32
    { 4, 4, 4, 4, 4, 4, 4, 4 },       // DA: arithmetic m32 integer
    { 4, -4, -4, -4, 0, 10, 0, -10 }, // DB: FILD FISTTP FIST FISTP m32, FLD FSTP m80
    { 8, 8, 8, 8, 8, 8, 8, 8 },       // DC: arithmetic m64
    { 8, -8, -8, -8, 0, 0, 0, 0 },    // DD: FLD FISTTP FST FSTP m64
    { 2, 2, 2, 2, 2, 2, 2, 2 },       // DE: arithmetic m16 integer
    // DF: FILD FISTTP FIST FISTP m16, FBLD, FILD m64, FBSTP, FISTP m64
    { 2, -2, -2, -2, 10, 8, -10, -8 },
};

#define BITS(from, to) ((~0ull >> (63 - (to))) & (~0ull << (from)))

// Register forms that exist, by opcode: a bit for each ModRM & 63, control instructions excepted.
// The undocumented aliases (FSTP1, FCOM2, FFREEP...) are among them.
static const u64 register_form[8] = {
    ~0ull,
    BITS(0, 15) | BITS(16, 16) | BITS(24, 33) | BITS(36, 37) | BITS(40, 46) | BITS(48, 63),
    BITS(0, 31) | BITS(41, 41),
    BITS(0, 31) | BITS(40, 55),
    ~0ull,
    BITS(0, 47),
    BITS(0, 23) | BITS(25, 25) | BITS(32, 63),
    BITS(0, 31) | BITS(40, 55),
};

static bool user(const struct vcpu *v)
{
    return v->cpl == 3;
}

static unsigned env_format(const struct vcpu *v, const struct insn *insn)
{
    return (vcpu_protected(v) ? 0 : FPU_ENV_REAL) | (insn->opsize == 4 ? FPU_ENV_32 : 0);
}

// Runs the stub on the x87 part of v->fx and commits everything but memory. Returns the exception
// flags it newly raised.
static u16 run(struct vcpu *v, struct fpu_host *h, const u8 *stub)
{
    _Alignas(16) u8 fx[FX_SIZE];
    u16 raised, ignored = 0;

    memcpy(fx, v->fx, FX_SIZE);
    // What IGNNE# lets us ignore must not reach the host as a pending exception.
    if (unlikely(fpu_pending(fx)))
        ignored = fx_get16(fx, FX_FSW) & FSW_EXCEPTIONS;
    fx_put16(fx, FX_FSW, fx_get16(fx, FX_FSW) & ~(ignored | FSW_ES | FSW_B));
    h->flags = v->eflags & FL_ARITH;
    fpu_host_x87(fx, h, stub);
    raised = fx_get16(fx, FX_FSW) & FSW_EXCEPTIONS;

    v->eflags = (v->eflags & ~FL_ARITH) | (h->flags & FL_ARITH);
    fx_put16(v->fx, FX_FSW, fx_get16(fx, FX_FSW) | ignored);
    v->fx[FX_FTW] = fx[FX_FTW];
    memcpy(v->fx + FX_ST, fx + FX_ST, FX_XMM - FX_ST);
    fpu_changed(v);
    return raised;
}

// The pointers to the last instruction and operand that a handler for #MF looks at.
static void set_pointers(struct vcpu *v, const struct insn *insn)
{
    fx_put16(v->fx, FX_FOP, (insn->op & 7) << 8 | insn->modrm);
    fx_put32(v->fx, FX_FIP, v->eip);
    fx_put16(v->fx, FX_FCS, v->seg[S_CS].sel);
    if (insn->has_mem) {
        fx_put32(v->fx, FX_FDP, op_ea(v, insn));
        fx_put16(v->fx, FX_FDS, v->seg[insn->seg].sel);
    }
}

// The memory operand, of `env` bytes of environment and then 80-bit numbers, or of no more than 8 bytes. Each slot of the
// environment, significand and exponent is an access of its own: the operand as a whole may wrap at 4 GiB, a piece may not.
static gla_t operand(struct vcpu *v, const struct insn *insn, u32 env, u32 size, enum access access)
{
    u32 ea = op_ea(v, insn), slot = env == 28 ? 4 : 2, n;

    if (likely(size <= 8 || ea + size > ea))
        return op_mem(v, insn, size, access);
    for (u32 at = 0; at < size; at += n) {
        n = at < env ? slot : (at - env) % 10 ? 2 : 8;
        if (!seg_allows(v, &v->seg[insn->seg], ea + at, n, access))
            vcpu_raise(v, insn->seg == S_SS ? X_SS : X_GP, 0);
    }
    if (mem_watched(v))
        debug_access(v, v->seg[insn->seg].base + ea, size, access);
    return v->seg[insn->seg].base + ea;
}

static void execute(struct vcpu *v, const struct insn *insn)
{
    unsigned esc = ESC(insn->op);
    int size = insn->has_mem ? mem_operand_size[esc][insn->reg] : 0;
    struct fpu_host h;
    gla_t gla = 0;

    if (insn->has_mem ? !size : !(register_form[esc] >> (insn->modrm & 63) & 1))
        vcpu_raise(v, X_UD, 0);
    if (!fpu_wait(v)) {
        v->eip -= insn->len; // the caller advances it
        return;
    }
    if (size > 0) {
        gla = operand(v, insn, 0, size, ACC_READ);
        mmu_read(v, gla, h.mem, size, user(v));
    } else if (size < 0) {
        gla = operand(v, insn, 0, -size, ACC_WRITE);
        mmu_probe(v, gla, -size, ACC_WRITE, user(v));
    }
    // Nothing faults from here on.
    if (insn->has_mem) {
        u16 fcw = fx_get16(v->fx, FX_FCW);
        u16 raised = run(v, &h, fpu_stub_x87[esc][64 + insn->reg]);

        // Invalid, overflow and underflow, unmasked, leave the destination as it was; inexact
        // doesn't.
        if (size < 0 && !(raised & ~fcw & (FSW_IE | FSW_OE | FSW_UE)))
            mmu_write(v, gla, h.mem, -size, user(v));
    } else {
        run(v, &h, fpu_stub_x87[esc][insn->modrm & 63]);
    }
    set_pointers(v, insn);
}

static void fldcw(struct vcpu *v, const struct insn *insn)
{
    u16 fcw = mmu_read16(v, op_mem(v, insn, 2, ACC_READ), user(v));

    fx_put16(v->fx, FX_FCW, (fcw & FCW_BITS) | FCW_ONE);
    fpu_changed(v);
}

static void fldenv(struct vcpu *v, const struct insn *insn)
{
    unsigned format = env_format(v, insn), size = fpu_env_size(format);
    u8 env[FPU_ENV_MAX];

    mmu_read(v, operand(v, insn, size, size, ACC_READ), env, size, user(v));
    fpu_env_load(v->fx, format, env);
    fpu_changed(v);
}

static void frstor(struct vcpu *v, const struct insn *insn)
{
    unsigned format = env_format(v, insn), size = fpu_env_size(format) + 80;
    u8 image[FPU_SAVE_MAX];

    mmu_read(v, operand(v, insn, size - 80, size, ACC_READ), image, size, user(v));
    fpu_save_load(v->fx, format, image);
    fpu_changed(v);
}

static void fnstenv(struct vcpu *v, const struct insn *insn)
{
    unsigned format = env_format(v, insn), size = fpu_env_size(format);
    u8 env[FPU_ENV_MAX];

    fpu_env_store(v->fx, format, env);
    mmu_write(v, operand(v, insn, size, size, ACC_WRITE), env, size, user(v));
    fx_put16(v->fx, FX_FCW, fx_get16(v->fx, FX_FCW) | FCW_MASKS);
    fpu_changed(v);
}

static void fnsave(struct vcpu *v, const struct insn *insn)
{
    unsigned format = env_format(v, insn), size = fpu_env_size(format) + 80;
    u8 image[FPU_SAVE_MAX];

    fpu_save_store(v->fx, format, image);
    mmu_write(v, operand(v, insn, size - 80, size, ACC_WRITE), image, size, user(v));
    fpu_init(v->fx);
    fpu_changed(v);
}

static void store16(struct vcpu *v, const struct insn *insn, u16 value)
{
    mmu_write16(v, op_mem(v, insn, 2, ACC_WRITE), value, user(v));
}

enum { CONTROL_MEM = 0x100 }; // or ModRM.reg; register forms by ModRM

// The instructions that don't compute. True if insn was one. Those that load state wait for a
// pending exception, those that store or clear it don't.
static bool control(struct vcpu *v, const struct insn *insn)
{
    unsigned form = insn->has_mem ? CONTROL_MEM | insn->reg : insn->modrm;
    void (*load)(struct vcpu *, const struct insn *) = NULL;

    switch (insn->op << 12 | form) {
    case 0xd9 << 12 | CONTROL_MEM | 4:
        load = fldenv;
        break;
    case 0xd9 << 12 | CONTROL_MEM | 5:
        load = fldcw;
        break;
    case 0xdd << 12 | CONTROL_MEM | 4:
        load = frstor;
        break;
    case 0xd9 << 12 | CONTROL_MEM | 6:
        fnstenv(v, insn);
        break;
    case 0xdd << 12 | CONTROL_MEM | 6:
        fnsave(v, insn);
        break;
    case 0xd9 << 12 | CONTROL_MEM | 7:
        store16(v, insn, fx_get16(v->fx, FX_FCW));
        break;
    case 0xdd << 12 | CONTROL_MEM | 7:
        store16(v, insn, fx_get16(v->fx, FX_FSW));
        break;
    case 0xdf << 12 | 0xe0: // FNSTSW AX
        v->gpr[R_EAX] = (v->gpr[R_EAX] & 0xffff0000) | fx_get16(v->fx, FX_FSW);
        break;
    case 0xdb << 12 | 0xe0: // FENI, FDISI and FSETPM: no-operations since the 387
    case 0xdb << 12 | 0xe1:
    case 0xdb << 12 | 0xe4:
        break;
    case 0xdb << 12 | 0xe2: // FNCLEX
        fx_put16(v->fx, FX_FSW, fx_get16(v->fx, FX_FSW) & 0x7f00);
        fpu_changed(v);
        break;
    case 0xdb << 12 | 0xe3: // FNINIT
        fpu_init(v->fx);
        fpu_changed(v);
        break;
    default:
        return false;
    }
    if (load && !fpu_wait(v))
        v->eip -= insn->len;
    else if (load)
        load(v, insn);
    return true;
}

void interp_x87(struct vcpu *v, const struct insn *insn)
{
    cpu_fpu_acquire(v);
    if (insn->op == OP1(0x9b)) {
        if ((v->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
            vcpu_raise(v, X_NM, 0);
        if (!fpu_wait(v))
            v->eip -= insn->len;
        return;
    }
    if (v->cr0 & (CR0_EM | CR0_TS))
        vcpu_raise(v, X_NM, 0);
    if (!control(v, insn))
        execute(v, insn);
}

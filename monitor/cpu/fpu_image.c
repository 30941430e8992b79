// SPDX-License-Identifier: GPL-2.0-or-later
// Conversions between the images that FXSAVE, FNSAVE and FNSTENV make of the same state.
#include "fpu.h"

void fpu_set_top(u8 *fx, unsigned top)
{
    unsigned up = (top - fpu_top(fx)) & 7;

    if (up) {
        u8 st[128];

        memcpy(st, fx + FX_ST, sizeof(st));
        for (unsigned i = 0; i < 8; i++)
            memcpy(fx + FX_ST + 16 * i, st + 16 * ((i + up) & 7), 16);
    }
    fx_put16(fx, FX_FSW, (fx_get16(fx, FX_FSW) & ~(7u << FSW_TOP_SHIFT)) | top << FSW_TOP_SHIFT);
}

void fpu_init(u8 *fx)
{
    fpu_set_top(fx, 0);
    memset(fx, 0, FX_MXCSR);
    fx_put16(fx, FX_FCW, 0x37f);
}

void fpu_normalise(u8 *fx)
{
    u16 fsw = fx_get16(fx, FX_FSW) & ~(FSW_ES | FSW_B);

    if (fpu_pending(fx))
        fsw |= FSW_ES | FSW_B;
    fx_put16(fx, FX_FSW, fsw);
}

// The tag of a register that is not empty, from its contents.
static unsigned tag(const u8 *st)
{
    u64 significand;
    unsigned exponent = fx_get16(st, 8) & 0x7fff;

    memcpy(&significand, st, sizeof(significand));
    if (exponent == 0 && significand == 0)
        return 1;
    // Denormals, pseudo-denormals, infinities, NaNs and the unsupported formats (integer bit
    // clear).
    if (exponent == 0 || exponent == 0x7fff || !(significand >> 63))
        return 2;
    return 0;
}

u16 fpu_tags(const u8 *fx)
{
    u16 tags = 0;

    for (unsigned n = 0; n < 8; n++) {
        unsigned t = fx[FX_FTW] & BIT(n) ? tag(fx + fpu_reg_at(fx, n)) : 3;

        tags |= t << (2 * n);
    }
    return tags;
}

u8 fpu_tags_abridge(u16 tags)
{
    u8 abridged = 0;

    for (unsigned n = 0; n < 8; n++)
        if ((tags >> (2 * n) & 3) != 3)
            abridged |= BIT(n);
    return abridged;
}

// Environment formats (SDM volume 1, figures 8-9 to 8-12), by 16-bit or 32-bit slots:
//
//   slot   protected           real, virtual-8086
//   0-2    FCW, FSW, FTW       the same
//   3      FIP                 linear FIP 15..0
//   4      FCS; 32: FOP<<16    linear FIP from 16 on <<12, FOP
//   5      FDP                 linear FDP 15..0
//   6      FDS                 linear FDP from 16 on <<12
static void put(u8 *env, unsigned format, unsigned slot, u32 x)
{
    if (format & FPU_ENV_32)
        fx_put32(env, 4 * slot, x);
    else
        fx_put16(env, 2 * slot, x);
}

static u32 get(const u8 *env, unsigned format, unsigned slot)
{
    return format & FPU_ENV_32 ? fx_get32(env, 4 * slot) : fx_get16(env, 2 * slot);
}

void fpu_env_store(const u8 *fx, unsigned format, u8 *env)
{
    u32 ones = 0xffff0000; // unused halves of 32-bit slots
    u32 fip = fx_get32(fx, FX_FIP), fdp = fx_get32(fx, FX_FDP);
    u16 fcs = fx_get16(fx, FX_FCS), fds = fx_get16(fx, FX_FDS), fop = fx_get16(fx, FX_FOP);

    put(env, format, 0, fx_get16(fx, FX_FCW) | ones);
    put(env, format, 1, fx_get16(fx, FX_FSW) | ones);
    put(env, format, 2, fpu_tags(fx) | ones);
    if (format & FPU_ENV_REAL) {
        fip += (u32)fcs << 4;
        fdp += (u32)fds << 4;
        put(env, format, 3, (fip & 0xffff) | ones);
        put(env, format, 4, (fip >> 16) << 12 | fop);
        put(env, format, 5, (fdp & 0xffff) | ones);
        put(env, format, 6, (fdp >> 16) << 12);
    } else {
        put(env, format, 3, fip);
        put(env, format, 4, (u32)fop << 16 | fcs);
        put(env, format, 5, fdp);
        put(env, format, 6, fds | ones);
    }
}

void fpu_env_load(u8 *fx, unsigned format, const u8 *env)
{
    u32 slot4 = get(env, format, 4), slot6 = get(env, format, 6);
    u32 fip, fdp;
    u16 fcs = 0, fds = 0, fop = 0;

    if (format & FPU_ENV_REAL) {
        u32 high = format & FPU_ENV_32 ? 0xffff : 0xf;

        fip = (get(env, format, 3) & 0xffff) | (slot4 >> 12 & high) << 16;
        fdp = (get(env, format, 5) & 0xffff) | (slot6 >> 12 & high) << 16;
        fop = slot4 & FOP_BITS;
    } else {
        fip = get(env, format, 3);
        fdp = get(env, format, 5);
        fcs = slot4;
        fds = slot6;
        if (format & FPU_ENV_32)
            fop = slot4 >> 16 & FOP_BITS;
    }
    fpu_set_top(fx, get(env, format, 1) >> FSW_TOP_SHIFT & 7);
    memset(fx, 0, FX_MXCSR);
    fx_put16(fx, FX_FCW, (get(env, format, 0) & FCW_BITS) | FCW_ONE);
    fx_put16(fx, FX_FSW, get(env, format, 1));
    fx[FX_FTW] = fpu_tags_abridge(get(env, format, 2));
    fx_put16(fx, FX_FOP, fop);
    fx_put32(fx, FX_FIP, fip);
    fx_put16(fx, FX_FCS, fcs);
    fx_put32(fx, FX_FDP, fdp);
    fx_put16(fx, FX_FDS, fds);
    fpu_normalise(fx);
}

void fpu_save_store(const u8 *fx, unsigned format, u8 *image)
{
    unsigned size = fpu_env_size(format);

    fpu_env_store(fx, format, image);
    for (unsigned i = 0; i < 8; i++)
        memcpy(image + size + 10 * i, fx + FX_ST + 16 * i, 10);
}

void fpu_save_load(u8 *fx, unsigned format, const u8 *image)
{
    unsigned size = fpu_env_size(format);

    fpu_env_load(fx, format, image);
    memset(fx + FX_ST, 0, 128);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fx + FX_ST + 16 * i, image + size + 10 * i, 10);
}

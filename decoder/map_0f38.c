// SPDX-License-Identifier: GPL-2.0-or-later
// The three-byte opcodes 0F 38 xx and 0F 3A xx (SDM volume 2D, tables ), up to what a
// Westmere or Silvermont had; of the VEX-encoded ones, BMI1's.
#include "row.h"

#define SSSE3(name)                                                                          \
    PFX2(I(name, Pq | Qq | RD, ISA(SSSE3)), I(name, Vx | Wx | RD, ISA(SSSE3)))
#define ONLY_66(...) PFX2(NONE, I(__VA_ARGS__))
#define SSE41(name, W) ONLY_66(name, Vx | W | RD, ISA(SSE41))
#define SSE41_IMM(name, W) ONLY_66(name, Vx | W | Ib | RD, ISA(SSE41))
#define AES(name) ONLY_66(name, Vx | Wx | RD, ISA(AES))
#define PCMPSTR(name) ONLY_66(name, Vx | Wx | Ib | RD, ISA(SSE42), FW(FL_ARITH))

const struct row insn_map_0f38[256] = {
    [0x00] = SSSE3("pshufb"),
    [0x01] = SSSE3("phaddw"),
    [0x02] = SSSE3("phaddd"),
    [0x03] = SSSE3("phaddsw"),
    [0x04] = SSSE3("pmaddubsw"),
    [0x05] = SSSE3("phsubw"),
    [0x06] = SSSE3("phsubd"),
    [0x07] = SSSE3("phsubsw"),
    [0x08] = SSSE3("psignb"),
    [0x09] = SSSE3("psignw"),
    [0x0a] = SSSE3("psignd"),
    [0x0b] = SSSE3("pmulhrsw"),
    [0x10] = SSE41("pblendvb", Wx),
    [0x14] = SSE41("blendvps", Wx),
    [0x15] = SSE41("blendvpd", Wx),
    [0x17] = ONLY_66("ptest", Vx | Wx | RD, ISA(SSE41), FW(FL_ARITH)),
    [0x1c] = SSSE3("pabsb"),
    [0x1d] = SSSE3("pabsw"),
    [0x1e] = SSSE3("pabsd"),
    [0x20] = SSE41("pmovsxbw", Wq),
    [0x21] = SSE41("pmovsxbd", Wd),
    [0x22] = SSE41("pmovsxbq", Ww),
    [0x23] = SSE41("pmovsxwd", Wq),
    [0x24] = SSE41("pmovsxwq", Wd),
    [0x25] = SSE41("pmovsxdq", Wq),
    [0x28] = SSE41("pmuldq", Wx),
    [0x29] = SSE41("pcmpeqq", Wx),
    [0x2a] = SSE41("movntdqa", Mx),
    [0x2b] = SSE41("packusdw", Wx),
    [0x30] = SSE41("pmovzxbw", Wq),
    [0x31] = SSE41("pmovzxbd", Wd),
    [0x32] = SSE41("pmovzxbq", Ww),
    [0x33] = SSE41("pmovzxwd", Wq),
    [0x34] = SSE41("pmovzxwq", Wd),
    [0x35] = SSE41("pmovzxdq", Wq),
    [0x37] = ONLY_66("pcmpgtq", Vx | Wx | RD, ISA(SSE42)),
    [0x38] = SSE41("pminsb", Wx),
    [0x39] = SSE41("pminsd", Wx),
    [0x3a] = SSE41("pminuw", Wx),
    [0x3b] = SSE41("pminud", Wx),
    [0x3c] = SSE41("pmaxsb", Wx),
    [0x3d] = SSE41("pmaxsd", Wx),
    [0x3e] = SSE41("pmaxuw", Wx),
    [0x3f] = SSE41("pmaxud", Wx),
    [0x40] = SSE41("pmulld", Wx),
    [0x41] = SSE41("phminposuw", Wx),
    [0xdb] = AES("aesimc"),
    [0xdc] = AES("aesenc"),
    [0xdd] = AES("aesenclast"),
    [0xde] = AES("aesdec"),
    [0xdf] = AES("aesdeclast"),
    // CRC32's destination is always a dword; its source has the operand size.
    [0xf0] = PFX(I("movbe", Gv | Mv | RD, ISA(MOVBE)), I("movbe", Gv | Mv | RD, ISA(MOVBE)), NONE,
                 I("crc32", Eb_zx | RD, ISA(SSE42))),
    [0xf1] = PFX(I("movbe", Mv | Gv | WR, ISA(MOVBE)), I("movbe", Mv | Gv | WR, ISA(MOVBE)), NONE,
                 I("crc32", Ev | RD, ISA(SSE42))),
    [0xf6] = PFX(NONE, I("adcx", Gd | Ed | RD, ISA(ADX), FR(FL_CF), FW(FL_CF)),
                 I("adox", Gd | Ed | RD, ISA(ADX), FR(FL_OF), FW(FL_OF)), NONE),
};

const struct row insn_map_0f3a[256] = {
    [0x08] = SSE41_IMM("roundps", Wx),
    [0x09] = SSE41_IMM("roundpd", Wx),
    [0x0a] = SSE41_IMM("roundss", Wd),
    [0x0b] = SSE41_IMM("roundsd", Wq),
    [0x0c] = SSE41_IMM("blendps", Wx),
    [0x0d] = SSE41_IMM("blendpd", Wx),
    [0x0e] = SSE41_IMM("pblendw", Wx),
    [0x0f] = PFX2(I("palignr", Pq | Qq | Ib | RD, ISA(SSSE3)),
                  I("palignr", Vx | Wx | Ib | RD, ISA(SSSE3))),
    [0x14] = ONLY_66("pextrb", Eb_zx | Vx | Ib | WR | E_OS32, ISA(SSE41)),
    [0x15] = ONLY_66("pextrw", Ew | Vx | Ib | WR | E_OS32, ISA(SSE41)),
    [0x16] = ONLY_66("pextrd", Ed | Vx | Ib | WR, ISA(SSE41)),
    [0x17] = ONLY_66("extractps", Ed | Vx | Ib | WR, ISA(SSE41)),
    [0x20] = ONLY_66("pinsrb", Vx | Eb_zx | Ib | RD | E_OS32, ISA(SSE41)),
    [0x21] = SSE41_IMM("insertps", Wd),
    [0x22] = ONLY_66("pinsrd", Vx | Ed | Ib | RD, ISA(SSE41)),
    [0x40] = SSE41_IMM("dpps", Wx),
    [0x41] = SSE41_IMM("dppd", Wx),
    [0x42] = SSE41_IMM("mpsadbw", Wx),
    [0x44] = ONLY_66("pclmulqdq", Vx | Wx | Ib | RD, ISA(PCLMUL)),
    [0x60] = PCMPSTR("pcmpestrm"),
    [0x61] = PCMPSTR("pcmpestri"),
    [0x62] = PCMPSTR("pcmpistrm"),
    [0x63] = PCMPSTR("pcmpistri"),
    [0xdf] = ONLY_66("aeskeygenassist", Vx | Wx | Ib | RD, ISA(AES)),
};

// CPUID announces these together with TZCNT. W and vvvv's highest bit mean nothing outside 64-bit mode; PF, AF, and SF of
// BEXTR, are undefined.
#define BMI1(name, operands, undefined)                                                      \
    I(name, operands | RD, ISA(BMI1), FW(FL_CF | FL_OF | FL_ZF | (FL_SF & ~(undefined))))

const struct row insn_map_vex38[256] = {
    [0xf2] = BMI1("andn", Gd | Bd | Ed, 0),
    [0xf3] = CHOOSE(BY_REG, NONE, BMI1("blsr", Bd | Ed, 0), BMI1("blsmsk", Bd | Ed, 0), BMI1("blsi", Bd | Ed, 0),
                    NONE, NONE, NONE, NONE),
    [0xf7] = BMI1("bextr", Gd | Ed | Bd, FL_SF),
};

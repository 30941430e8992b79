// SPDX-License-Identifier: GPL-2.0-or-later
// Every opcode of the four maps, under every prefix combination that matters, with every ModRM
// and many SIBs and immediates, in 16- and 32-bit code: what our tables say against what Zydis
// says. A difference that we mean is a row of `meant`, with its reason. Any other fails; so does
// a row that no longer matches anything.
#include "decoder/insn.h"

#include <Zydis/Zydis.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What is compared.
#define ASPECT_LIST(X)                                                                       \
    X(UNDEFINED) X(DEFINED) X(LENGTH) X(PREFIX) X(OPSIZE) X(ADDRSIZE) X(MODRM) X(MEMORY)     \
    X(ADDRESS) X(SEGMENT) X(MEM_USE) X(MEM_SIZE) X(IMMEDIATE) X(FLAGS_READ) X(FLAGS_WRITTEN) \
    X(FLAGS_SURVIVE) X(FLOW) X(PRIVILEGED) X(UNIT) X(BYTE_REGS) X(LOCKABLE) X(ISA)

enum aspect {
#define X(name) name,
    ASPECT_LIST(X)
#undef X
    ASPECTS
};
static const char *const aspect_name[ASPECTS] = {
#define X(name) #name,
    ASPECT_LIST(X)
#undef X
};

// A difference that we mean: aspect, opcodes first..last, modrm.reg values (a bit each; ANY when
// the opcode has no ModRM or all do), which form, which prefixes must be there, and why.
enum form { BOTH, REG, MEM };
#define ANY 0xff

struct difference {
    enum aspect aspect;
    u16 first, last;
    u8 regs;
    enum form form;
    u8 prefix;
    const char *why;
};

static const struct difference meant[] = {
#include "decoder_zydis.inc"
};

struct comparison {
    ZydisDecoder decoder[2]; // 16- and 32-bit code
    unsigned long hits[ARRAY_LEN(meant)];
    unsigned long total, unexplained;
    struct { // what was said of unexplained differences, one line per kind
        u16 op;
        u8 reg, aspect;
    } said[4096];
    unsigned said_count;
};

static void explain(struct comparison *c, enum aspect aspect, const struct insn *insn,
                    const u8 *bytes, bool code32, const char *detail)
{
    for (unsigned i = 0; i < ARRAY_LEN(meant); i++) {
        const struct difference *m = &meant[i];

        if (m->aspect == aspect && insn->op >= m->first && insn->op <= m->last &&
            (m->regs == ANY || m->regs & BIT(insn->reg)) &&
            (m->form == BOTH || (m->form == MEM) == insn->has_mem) &&
            (insn->prefix & m->prefix) == m->prefix) {
            c->hits[i]++;
            return;
        }
    }
    c->unexplained++;
    for (unsigned i = 0; i < c->said_count; i++)
        if (c->said[i].op == insn->op && c->said[i].aspect == aspect && c->said[i].reg == insn->reg)
            return;
    if (c->said_count == ARRAY_LEN(c->said))
        return;
    c->said[c->said_count].op = insn->op;
    c->said[c->said_count].reg = insn->reg;
    c->said[c->said_count++].aspect = aspect;
    printf("%-14s op %03x /%u %s pfx %02x code%d %s: %s:", aspect_name[aspect], insn->op, insn->reg,
           insn->has_mem ? "mem" : "reg", insn->prefix, code32 ? 32 : 16, insn->name, detail);
    for (unsigned i = 0; i < INSN_MAX; i++)
        printf(" %02x", bytes[i]);
    printf("\n");
}

#define COMPARE(aspect, ours, theirs)                                                        \
    do {                                                                                     \
        unsigned long ours_ = (unsigned long)(ours), theirs_ = (unsigned long)(theirs);      \
        if (ours_ != theirs_) {                                                              \
            snprintf(detail, sizeof(detail), "%lx, Zydis %lx", ours_, theirs_);              \
            explain(c, aspect, insn, bytes, code32, detail);                                 \
        }                                                                                    \
    } while (0)

// Instruction sets by the step of ours that has them; -1: no model of ring3's does.
static int isa_of(ZydisISASet set, ZydisMnemonic mnemonic)
{
    switch (set) {
    case ZYDIS_ISA_SET_I86:
    case ZYDIS_ISA_SET_I186:
    case ZYDIS_ISA_SET_I286REAL:
    case ZYDIS_ISA_SET_I286PROTECTED:
    case ZYDIS_ISA_SET_I386:
    case ZYDIS_ISA_SET_LAHF:
    case ZYDIS_ISA_SET_X87:
    case ZYDIS_ISA_SET_PAUSE:
        return ISA_386;
    case ZYDIS_ISA_SET_I486:
    case ZYDIS_ISA_SET_I486REAL:
        return ISA_486;
    case ZYDIS_ISA_SET_PENTIUMREAL:
        return ISA_P5;
    case ZYDIS_ISA_SET_CMOV:
    case ZYDIS_ISA_SET_FCMOV:
        return ISA_CMOV;
    case ZYDIS_ISA_SET_PENTIUMMMX:
        return ISA_MMX;
    case ZYDIS_ISA_SET_PPRO:
    case ZYDIS_ISA_SET_FAT_NOP:
    case ZYDIS_ISA_SET_PREFETCH_NOP:
    case ZYDIS_ISA_SET_RDPMC:
    case ZYDIS_ISA_SET_SSE_PREFETCH: // a NOP on what has no SSE
        return ISA_P6;
    case ZYDIS_ISA_SET_FXSAVE:
        return ISA_FXSR;
    case ZYDIS_ISA_SET_SSE:
    case ZYDIS_ISA_SET_SSEMXCSR:
        return ISA_SSE;
    case ZYDIS_ISA_SET_SSE2:
    case ZYDIS_ISA_SET_SSE2MMX:
    case ZYDIS_ISA_SET_CLFSH:
        return ISA_SSE2;
    case ZYDIS_ISA_SET_SSE3:
    case ZYDIS_ISA_SET_SSE3X87:
        return ISA_SSE3;
    case ZYDIS_ISA_SET_SSSE3:
    case ZYDIS_ISA_SET_SSSE3MMX:
        return ISA_SSSE3;
    case ZYDIS_ISA_SET_SSE4:
        return ISA_SSE41;
    case ZYDIS_ISA_SET_SSE42:
        return ISA_SSE42;
    case ZYDIS_ISA_SET_POPCNT:
        return ISA_POPCNT;
    case ZYDIS_ISA_SET_MOVBE:
        return ISA_MOVBE;
    case ZYDIS_ISA_SET_AES:
        return ISA_AES;
    case ZYDIS_ISA_SET_PCLMULQDQ:
        return ISA_PCLMUL;
    case ZYDIS_ISA_SET_RDRAND:
        return ISA_RDRAND;
    case ZYDIS_ISA_SET_RDSEED:
        return ISA_RDSEED;
    case ZYDIS_ISA_SET_ADOX_ADCX:
        return ISA_ADX;
    case ZYDIS_ISA_SET_LZCNT:
        return ISA_LZCNT;
    case ZYDIS_ISA_SET_BMI1: // TZCNT alone is not VEX-encoded
        return mnemonic == ZYDIS_MNEMONIC_TZCNT ? ISA_TZCNT : ISA_BMI1;
    default:
        return -1;
    }
}

static int segment_of(ZydisRegister reg)
{
    if (reg < ZYDIS_REGISTER_ES || reg > ZYDIS_REGISTER_GS)
        return -1;
    return (int)(reg - ZYDIS_REGISTER_ES);
}

static int gpr_of(ZydisRegister reg)
{
    return reg == ZYDIS_REGISTER_NONE ? -1 : ZydisRegisterGetId(reg);
}

static void compare_memory(struct comparison *c, const struct insn *insn, const u8 *bytes,
                           bool code32,
                           const ZydisDecodedInstruction *z, const ZydisDecodedOperand *operand)
{
    const ZydisDecodedOperand *mem = NULL;
    char detail[80];

    for (unsigned i = 0; i < z->operand_count; i++)
        if (operand[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            (operand[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
             operand[i].encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64))
            mem = &operand[i];
    COMPARE(MEMORY, insn->has_mem, mem != NULL);
    if (!insn->has_mem || !mem)
        return;

    unsigned use = (mem->actions & ZYDIS_OPERAND_ACTION_MASK_READ ? MEM_READ : 0) |
                   (mem->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? MEM_WRITE : 0);
    bool agen = mem->mem.type != ZYDIS_MEMOP_TYPE_MEM;

    COMPARE(MEM_USE, insn->mem, agen ? MEM_ADDRESS : use);
    if (insn->mem != MEM_ADDRESS)
        COMPARE(MEM_SIZE, insn->mem_size, mem->size / 8);
    if (!agen)
        COMPARE(SEGMENT, insn->seg, segment_of(mem->mem.segment));

    if (insn->attr & INSN_MODRM) {
        int base = gpr_of(mem->mem.base), index = gpr_of(mem->mem.index);

        // [SI] and [DI] have an index and no base in insn.h's terms.
        if (insn->addrsize == 2 && index < 0 && (base == R_ESI || base == R_EDI)) {
            index = base;
            base = -1;
        }
        COMPARE(ADDRESS, insn->base, base);
        COMPARE(ADDRESS, insn->index, index);
        if (index >= 0 && insn->addrsize == 4)
            COMPARE(ADDRESS, 1u << insn->scale, mem->mem.scale);
        COMPARE(ADDRESS, insn->disp_len, z->raw.disp.size / 8);
        COMPARE(ADDRESS, (u32)insn->disp, (u32)z->raw.disp.value);
    } else {
        u32 mask = insn->addrsize == 2 ? 0xffff : ~0u;

        COMPARE(ADDRESS, insn->disp_len, insn->addrsize);
        COMPARE(ADDRESS, (u32)insn->disp, (u32)mem->mem.disp.value & mask);
    }
}

static u32 sign_extend(u64 value, unsigned len)
{
    return len == 1 ? (u32)(i8)value : len == 2 ? (u32)(i16)value : (u32)value;
}

static void compare_immediates(struct comparison *c, const struct insn *insn, const u8 *bytes,
                               bool code32, const ZydisDecodedInstruction *z,
                               const ZydisDecodedOperand *operand)
{
    char detail[80];

    if (z->operand_count && operand[0].type == ZYDIS_OPERAND_TYPE_POINTER) {
        COMPARE(IMMEDIATE, insn->imm_len, insn->opsize);
        COMPARE(IMMEDIATE, insn->imm, sign_extend(operand[0].ptr.offset, insn->opsize));
        COMPARE(IMMEDIATE, insn->imm2, operand[0].ptr.segment);
        return;
    }
    COMPARE(IMMEDIATE, insn->imm_len, z->raw.imm[0].size / 8);
    if (insn->imm_len)
        COMPARE(IMMEDIATE, insn->imm, sign_extend(z->raw.imm[0].value.u, insn->imm_len));
    if (z->raw.imm[1].size)
        COMPARE(IMMEDIATE, insn->imm2, z->raw.imm[1].value.u & 0xff);
}

static void compare_flags(struct comparison *c, const struct insn *insn, const u8 *bytes,
                          bool code32,
                          const ZydisDecodedInstruction *z)
{
    unsigned read = z->cpu_flags ? z->cpu_flags->tested : 0;
    unsigned written = z->cpu_flags ? z->cpu_flags->modified | z->cpu_flags->set_0 |
                                          z->cpu_flags->set_1 | z->cpu_flags->undefined : 0;
    unsigned survive;
    char detail[80];

    read &= FL_ARITH | FL_DF;
    written &= FL_ARITH;
    // What Zydis says may be written and we say is not surely written, but read: it may survive.
    survive = insn->flags_read & written & ~insn->flags_written;
    COMPARE(FLAGS_SURVIVE, survive, 0);
    COMPARE(FLAGS_READ, insn->flags_read & ~survive, read & ~survive);
    COMPARE(FLAGS_WRITTEN, insn->flags_written | survive, written);
}

static unsigned flow_of(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *operand)
{
    bool direct = z->operand_count && operand[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;

    if (z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        return FLOW_FAR;
    switch (z->meta.category) {
    case ZYDIS_CATEGORY_COND_BR:
        return FLOW_JCC;
    case ZYDIS_CATEGORY_UNCOND_BR:
        return direct ? FLOW_JMP : FLOW_IJMP;
    case ZYDIS_CATEGORY_CALL:
        return direct ? FLOW_CALL : FLOW_ICALL;
    case ZYDIS_CATEGORY_RET:
        return z->mnemonic == ZYDIS_MNEMONIC_RET ? FLOW_RET : FLOW_FAR;
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_SYSRET: // IRET, RSM
        return FLOW_FAR;
    default:
        return FLOW_NONE;
    }
}

static void compare_unit(struct comparison *c, const struct insn *insn, const u8 *bytes,
                         bool code32,
                         const ZydisDecodedInstruction *z, const ZydisDecodedOperand *operand)
{
    unsigned unit = 0, modrm_regs = 0, bytes_regs = 0;
    char detail[80];

    for (unsigned i = 0; i < z->operand_count; i++) {
        ZydisRegisterClass class;

        if (operand[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        class = ZydisRegisterGetClass(operand[i].reg.value);
        if (class == ZYDIS_REGCLASS_XMM || operand[i].reg.value == ZYDIS_REGISTER_MXCSR)
            unit |= INSN_SSE;
        if (class == ZYDIS_REGCLASS_MMX)
            unit |= INSN_MMX;
        if (class == ZYDIS_REGCLASS_X87 || operand[i].reg.value == ZYDIS_REGISTER_X87CONTROL ||
            operand[i].reg.value == ZYDIS_REGISTER_X87STATUS)
            unit |= INSN_X87;
        if (operand[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG ||
            operand[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) {
            modrm_regs++;
            bytes_regs += class == ZYDIS_REGCLASS_GPR8;
            if (class == ZYDIS_REGCLASS_GPR16 || class == ZYDIS_REGCLASS_GPR32)
                COMPARE(OPSIZE, insn->opsize, class == ZYDIS_REGCLASS_GPR16 ? 2 : 4);
        }
    }
    if (z->meta.category == ZYDIS_CATEGORY_X87_ALU || insn->op == OP1(0x9b))
        unit |= INSN_X87;
    COMPARE(UNIT, insn->attr & (INSN_SSE | INSN_MMX | INSN_X87), unit);
    if (modrm_regs)
        COMPARE(BYTE_REGS, !!(insn->attr & INSN_8BIT), bytes_regs == modrm_regs);
}

static bool privileged(unsigned sensitive)
{
    switch (sensitive) {
#define X(id, name, priv)                                                                    \
    case SENS_##id:                                                                          \
        return priv;
        SENSITIVE_LIST(X)
#undef X
    }
    return false;
}

static void compare(struct comparison *c, const u8 *bytes, bool code32)
{
    ZydisDecodedInstruction z;
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
    struct insn ours, *insn = &ours;
    enum insn_status status = insn_decode(insn, bytes, INSN_MAX, code32);
    ZyanStatus zstatus = ZydisDecoderDecodeFull(&c->decoder[code32], bytes, INSN_MAX, &z, operand);
    int isa = ZYAN_SUCCESS(zstatus) ? isa_of(z.meta.isa_set, z.mnemonic) : -1;
    char detail[80];

    c->total++;
    if (status != INSN_OK) {
        ck_assert_msg(zstatus == ZYDIS_STATUS_NO_MORE_DATA ||
                          zstatus == ZYDIS_STATUS_INSTRUCTION_TOO_LONG,
                      "op %x: too long for us only", insn->op);
        return;
    }
    if (insn->attr & INSN_UD) {
        if (ZYAN_SUCCESS(zstatus) && isa >= 0 && z.mnemonic != ZYDIS_MNEMONIC_UD0 &&
            z.mnemonic != ZYDIS_MNEMONIC_UD1 && z.mnemonic != ZYDIS_MNEMONIC_UD2)
            explain(c, UNDEFINED, insn, bytes, code32, ZydisMnemonicGetString(z.mnemonic));
        return;
    }
    if (!ZYAN_SUCCESS(zstatus) || isa < 0) {
        explain(c, DEFINED, insn, bytes, code32,
                ZYAN_SUCCESS(zstatus) ? ZydisMnemonicGetString(z.mnemonic) : "undefined to Zydis");
        return;
    }
    COMPARE(LENGTH, insn->len, z.length);
    COMPARE(PREFIX, insn->pfx_len, z.raw.prefix_count);
    COMPARE(ADDRSIZE, insn->addrsize, z.address_width / 8);
    if (z.operand_width != 8 && !(insn->attr & (INSN_X87 | INSN_MMX | INSN_SSE)))
        COMPARE(OPSIZE, insn->opsize, z.operand_width / 8);
    COMPARE(MODRM, !!(insn->attr & INSN_MODRM), !!(z.attributes & ZYDIS_ATTRIB_HAS_MODRM));
    if (insn->attr & INSN_MODRM)
        COMPARE(MODRM, insn->mod << 6 | insn->reg << 3 | insn->rm,
                z.raw.modrm.mod << 6 | z.raw.modrm.reg << 3 | z.raw.modrm.rm);
    if (insn->op >> 8 == MAP_VEX38)
        COMPARE(MODRM, insn->vreg, ~z.raw.vex.vvvv & 7);
    compare_memory(c, insn, bytes, code32, &z, operand);
    compare_immediates(c, insn, bytes, code32, &z, operand);
    compare_flags(c, insn, bytes, code32, &z);
    compare_unit(c, insn, bytes, code32, &z, operand);
    COMPARE(FLOW, insn->flow, flow_of(&z, operand));
    COMPARE(PRIVILEGED, privileged(insn->sensitive), !!(z.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED));
    if (insn->has_mem)
        COMPARE(LOCKABLE, !!(insn->attr & INSN_LOCKABLE),
                !!(z.attributes & ZYDIS_ATTRIB_ACCEPTS_LOCK));
    COMPARE(ISA, insn->isa, isa);
}

static u32 next_random(u64 *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

static void compare_opcode(struct comparison *c, const u8 *prefix, unsigned prefixes, unsigned map,
                           unsigned opcode, bool code32, u64 *random)
{
    u8 bytes[INSN_MAX];
    unsigned n = prefixes;

    memcpy(bytes, prefix, prefixes);
    if (map == MAP_VEX38) {
        bytes[n++] = 0xc4;
        n += 2;
    } else if (map != MAP_1) {
        bytes[n++] = 0x0f;
    }
    if (map == MAP_0F38 || map == MAP_0F3A)
        bytes[n++] = map == MAP_0F38 ? 0x38 : 0x3a;
    bytes[n++] = opcode;
    for (unsigned modrm = 0; modrm < 256; modrm++) {
        bytes[n] = modrm;
        if (map == MAP_VEX38) { // mostly the map 0F 38, L and pp 0
            u32 r = next_random(random);

            bytes[n - 3] = 0xc0 | (r & 0x20) | (r & 0xc0 ? 2 : r >> 8 & 0x1f);
            bytes[n - 2] = (r >> 16 & 0xf8) | (r & 0x1000 ? r >> 13 & 7 : 0);
        }
        for (unsigned i = n + 1; i < INSN_MAX; i++)
            bytes[i] = next_random(random);
        compare(c, bytes, code32);
    }
}

// Whether a byte in this place is the opcode: not a prefix, not an escape.
static bool is_opcode(unsigned map, unsigned byte)
{
    static const u8 not_map_1[] = { 0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0,
                                    0xf2,
                                    0xf3 };

    if (map == MAP_1)
        return !memchr(not_map_1, (int)byte, sizeof(not_map_1));
    return map != MAP_0F || (byte != 0x38 && byte != 0x3a);
}

static void comparison_init(struct comparison *c)
{
    static const ZydisDecoderMode off[] = { ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
                                            ZYDIS_DECODER_MODE_CLDEMOTE };

    memset(c, 0, sizeof(*c));
    ZydisDecoderInit(&c->decoder[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&c->decoder[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    for (unsigned i = 0; i < ARRAY_LEN(off); i++)
        for (unsigned code32 = 0; code32 < 2; code32++)
            ZydisDecoderEnableMode(&c->decoder[code32], off[i], ZYAN_FALSE);
}

START_TEST(test_opcode_space)
{
    static const struct {
        u8 n, byte[4];
    } prefixes[] = {
        { 0, { 0 } }, { 1, { 0x66 } }, { 1, { 0x67 } }, { 1, { 0xf2 } }, { 1, { 0xf3 } },
        { 1, { 0xf0 } },
        { 1, { 0x2e } }, { 1, { 0x65 } }, { 2, { 0x66, 0x67 } }, { 2, { 0x66, 0xf2 } },
        { 2, { 0xf3, 0x66 } }, { 2, { 0xf2, 0xf3 } }, { 2, { 0xf3, 0xf2 } }, { 2, { 0xf0, 0x67 } },
        { 2, { 0x66, 0xf0 } }, { 2, { 0x64, 0x36 } }, { 3, { 0xf0, 0xf2, 0x66 } },
        { 4, { 0x26, 0x67, 0xf3, 0x66 } },
    };
    struct comparison *c = malloc(sizeof(*c));
    u64 random = 1;

    comparison_init(c);
    for (unsigned i = 0; i < 2 * ARRAY_LEN(prefixes); i++)
        for (unsigned map = MAP_1; map < MAP_COUNT; map++)
            for (unsigned opcode = 0; opcode < 256; opcode++)
                if (is_opcode(map, opcode))
                    compare_opcode(c, prefixes[i / 2].byte, prefixes[i / 2].n, map, opcode, i % 2,
                                   &random);
    printf("%lu instructions compared\n", c->total);
    ck_assert_uint_gt(c->total, 5000000);
    ck_assert_msg(!c->unexplained, "%lu unexplained differences, of %u kinds", c->unexplained,
                  c->said_count);
    for (unsigned i = 0; i < ARRAY_LEN(meant); i++)
        ck_assert_msg(c->hits[i], "row %u of the list of differences matches nothing: %s %03x %s",
                      i,
                      aspect_name[meant[i].aspect], meant[i].first, meant[i].why);
    free(c);
}
END_TEST

// Every ModRM with every SIB, for one load.
START_TEST(test_addressing)
{
    struct comparison *c = malloc(sizeof(*c));
    u8 bytes[INSN_MAX] = { 0x67, 0x8b };
    u64 random = 2;

    comparison_init(c);
    for (unsigned i = 0; i < 4 * 65536; i++) {
        const u8 *start = bytes + (i & 1); // with and without 67
        u8 padded[INSN_MAX];

        bytes[2] = i >> 2;
        bytes[3] = i >> 10;
        for (unsigned k = 4; k < INSN_MAX; k++)
            bytes[k] = next_random(&random);
        memcpy(padded, start, INSN_MAX - (i & 1));
        padded[INSN_MAX - 1] = 0;
        compare(c, padded, i >> 1 & 1);
    }
    ck_assert_uint_eq(c->unexplained, 0);
    free(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decoder against Zydis");
    TCase *tcase = tcase_create("space");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, test_opcode_space);
    tcase_add_test(tcase, test_addressing);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

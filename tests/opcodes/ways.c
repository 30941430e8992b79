// SPDX-License-Identifier: GPL-2.0-or-later
#include "ways.h"

#include "monitor/cpu/exec.h"
#include "tests/unit/bt_checker.h"

#include <dlfcn.h>

struct ways {
    struct rig rig;
    struct vcpu *v;
    struct cpu_model model; // -cpu max on a host that has everything: the table is the same on all
    ZydisDecoder guest;
};

struct ways *ways_new(void)
{
    struct ways *w = calloc(1, sizeof(*w));

    w->v = calloc(1, sizeof(*w->v));
    w->model = *cpu_model_find("max");
    w->model.isa = BIT(ISA_COUNT) - 1;
    w->v->model = &w->model;
    rig_init(&w->rig);
    ZydisDecoderInit(&w->guest, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    return w;
}

void ways_free(struct ways *w)
{
    rig_destroy(&w->rig);
    free(w->v);
    free(w);
}

void ways_example(const struct form *form, u8 bytes[INSN_MAX], struct insn *insn)
{
    unsigned n;

    memset(bytes, 1, INSN_MAX);
    n = form_opcode(form, form->opcodes > 1 ? 1 : 0, bytes);
    if (form->has_rm)
        bytes[n] = form_modrm(form, 0x0b);
    CHECK(insn_decode(insn, bytes, INSN_MAX, true) == INSN_OK);
}

const char *ways_interp(struct ways *w, const struct insn *insn)
{
    exec_fn fn = exec_find(w->v, insn);
    Dl_info info;

    CHECK(dladdr((void *)(uintptr_t)fn, &info) && info.dli_sname);
    return info.dli_sname;
}

// The opcode's own bytes are in the host's code.
static bool has_opcode(const ZydisDecodedInstruction *z, const struct insn *insn)
{
    static const ZydisOpcodeMap maps[MAP_COUNT] = {
        ZYDIS_OPCODE_MAP_DEFAULT, ZYDIS_OPCODE_MAP_0F, ZYDIS_OPCODE_MAP_0F38, ZYDIS_OPCODE_MAP_0F3A,
        ZYDIS_OPCODE_MAP_0F38,
    };

    return z->opcode == (u8)insn->op && z->opcode_map == maps[insn->op >> 8];
}

static const char *translation(struct ways *w, const u8 *bytes, const struct insn *insn, u32 mode)
{
    u8 code[INSN_MAX + 2], hints[INSN_MAX + 2] = { 0 };
    struct bt_request rq = { .bytes = code, .avail = insn->len + 2, .eip = 0x08048000, .mode = mode, .hints = hints };
    bool copied = false;
    struct bt_code out;
    u32 at, end;

    memcpy(code, bytes, insn->len);
    memcpy(code + insn->len, "\x0f\x0b", 2);
    spaces_reset(&w->rig.spaces);
    w->rig.bt.isa = w->v->model->isa;
    CHECK(rig_translate(&w->rig, &rq, &out));
    at = out.insn[0].host;
    end = out.block.insn_count > 1 ? out.insn[1].host : out.block.host_len;
    while (at < end) {
        ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
        ZydisDecodedInstruction z;

        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&w->rig.decoder, w->rig.room + at, end - at, &z, op)))
            break;
        at += z.length;
        if (z.raw.imm[0].is_relative && out.block.host + at + (u32)z.raw.imm[0].value.u == w->rig.bt.stubs.emulate)
            return "emulated";
        copied |= has_opcode(&z, insn);
    }
    return copied ? "copied" : "inline";
}

void ways_bt(struct ways *w, const u8 *bytes, const struct insn *insn, char *text)
{
    static const u32 flat = MODE_DS_FLAT | MODE_ES_FLAT | MODE_TSC;
    const char *kernel = translation(w, bytes, insn, flat), *user = translation(w, bytes, insn, flat | MODE_USER);

    if (strcmp(kernel, user) == 0)
        strcpy(text, kernel);
    else
        sprintf(text, "%s; CPL 3: %s", kernel, user);
}

// ---- Operands, by Zydis

static char *operand_register(const ZydisDecodedOperand *op, bool rm, char *p)
{
    unsigned bits = op->size;

    switch (ZydisRegisterGetClass(op->reg.value)) {
    case ZYDIS_REGCLASS_GPR8: case ZYDIS_REGCLASS_GPR16: case ZYDIS_REGCLASS_GPR32:
        return p + sprintf(p, "r%u", bits);
    case ZYDIS_REGCLASS_X87:
        return p + sprintf(p, "st(i)");
    case ZYDIS_REGCLASS_MMX:
        return p + sprintf(p, "mm");
    case ZYDIS_REGCLASS_XMM:
        return p + sprintf(p, "xmm");
    case ZYDIS_REGCLASS_SEGMENT:
        return p + sprintf(p, "sreg");
    case ZYDIS_REGCLASS_CONTROL:
        return p + sprintf(p, "cr");
    case ZYDIS_REGCLASS_DEBUG:
        return p + sprintf(p, "dr");
    default:
        (void)rm;
        return p + sprintf(p, "%s", ZydisRegisterGetString(op->reg.value));
    }
}

void ways_operands(struct ways *w, const u8 *bytes, const struct form *form, char *text)
{
    ZydisDecodedInstruction z;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    char *p = text;

    *p = '\0';
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&w->guest, bytes, INSN_MAX, &z, op)))
        return;
    for (unsigned i = 0; i < z.operand_count_visible; i++) {
        bool fixed = op[i].encoding == ZYDIS_OPERAND_ENCODING_NONE && op[i].type == ZYDIS_OPERAND_TYPE_REGISTER;

        if (i)
            p += sprintf(p, ", ");
        if (fixed)
            p += sprintf(p, "%s", ZydisRegisterGetString(op[i].reg.value));
        else if (op[i].type == ZYDIS_OPERAND_TYPE_REGISTER)
            p = operand_register(&op[i], form->has_rm, p);
        else if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY && op[i].size)
            p += sprintf(p, "%s%u", op[i].mem.disp.has_displacement && !form->has_rm ? "moffs" : "m", op[i].size);
        else if (op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            p += sprintf(p, "m");
        else if (op[i].type == ZYDIS_OPERAND_TYPE_POINTER)
            p += sprintf(p, "ptr16:32");
        else if (op[i].encoding == ZYDIS_OPERAND_ENCODING_NONE)
            p += sprintf(p, "%u", (unsigned)op[i].imm.value.u);
        else
            p += sprintf(p, "%s%u", z.raw.imm[0].is_relative ? "rel" : "imm",
                         z.raw.imm[op[i].encoding == ZYDIS_OPERAND_ENCODING_UIMM8 && i > 1 && z.raw.imm[1].size].size);
    }
}

// SPDX-License-Identifier: GPL-2.0-or-later
// Golden emitted code: what the translator makes of single guest instructions, so that code growth shows in review.
//
//   golden_code tests/golden/code.txt        compares, and prints what differs
//   golden_code -w tests/golden/code.txt     writes the file anew; `git diff` then says what has changed
//
// A case is a line `> WAY: BYTES # COMMENT`; what follows it is generated. The instruction stands at the start of a
// page, with UD2 behind it, whose code is not shown.
#include "tests/unit/bt_checker.h"

static const struct way {
    const char *name;
    u32 mode;
    u8 hint;
} ways[] = {
    { "flat", MODE_DS_FLAT | MODE_ES_FLAT | MODE_TSC, 0 },
    { "user", MODE_DS_FLAT | MODE_ES_FLAT | MODE_TSC | MODE_USER, 0 },
    { "shared", MODE_DS_FLAT | MODE_ES_FLAT | MODE_TSC | MODE_USER | MODE_SHARED, 0 },
    { "checked", MODE_DS_FLAT | MODE_ES_FLAT, HINT_CHECKED },
    { "young", MODE_DS_FLAT | MODE_ES_FLAT | MODE_CHECKED, 0 },
    { "based", MODE_ES_FLAT, 0 },
    { "wraps", MODE_DS_FLAT | MODE_ES_FLAT, HINT_WRAP },
    { "real", MODE_SEGMENTED | MODE_CODE16 | MODE_STACK16 | MODE_DATA64K | MODE_REAL, 0 },
    { "prot16", MODE_SEGMENTED | MODE_CODE16 | MODE_STACK16, 0 },
    { "limits", MODE_SEGMENTED, 0 },
};

// Names for what changes whenever a struct does.
static const struct {
    i32 offset, size;
    const char *name;
} fields[] = {
    { VCPU_OFF(event), 4, "event" }, { VCPU_OFF(eflags), 4, "eflags" }, { VCPU_OFF(asid), 4, "asid" },
    { VCPU_OFF(tsc_offset), 8, "tsc_offset" }, { FRAME_OFF(tmp), 4, "tmp" },
    { FRAME_OFF(seg_window), 8 * S_COUNT, "seg_window" }, { FRAME_OFF(cs_key), 8, "cs_key" },
    { FRAME_OFF(seg_origin), 8 * S_COUNT, "seg_origin" },
    { FRAME_OFF(seg_rlimit), 8 * S_COUNT, "seg_rlimit" }, { FRAME_OFF(seg_wlimit), 8 * S_COUNT, "seg_wlimit" },
    { FRAME_OFF(seg_asid), 4 * S_COUNT, "seg_asid" },
    { VCPU_OFF(seg), (i32)sizeof(struct seg) * S_COUNT, "seg" },
    { VCPU_OFF(tlb) + (i32)offsetof(struct tlb_entry, rtag), 4, "tlb.rtag" },
    { VCPU_OFF(tlb) + (i32)offsetof(struct tlb_entry, wtag), 4, "tlb.wtag" },
    { VCPU_OFF(tlb) + (i32)offsetof(struct tlb_entry, addend), 8, "tlb.addend" },
    { VCPU_OFF(tlb) + (i32)offsetof(struct tlb_entry, free), 8, "tlb.free" },
};

struct golden {
    struct rig rig;
    struct bt_code code;
    ZydisFormatter formatter;
    FILE *out;
};

// end: of what is printed.
static void print_target(struct golden *g, u32 target, u32 end)
{
    const struct bt_stubs *s = &g->rig.bt.stubs;
    const struct block *b = &g->code.block;

    if (target - b->host >= end && target - b->host < b->host_len)
        fprintf(g->out, "tail\n");
    else if (target - b->host < end)
        fprintf(g->out, "+%d\n", (int)(target - b->host - g->code.insn[0].host));
    else
        fprintf(g->out, "%s\n", target == s->emulate ? "emulate" : target == s->memory ? "memory" :
                target == s->link ? "link" : target == s->lookup ? "lookup" :
                target == s->probe ? "probe" : target == s->jump ? "jump" : "?");
}

// A displacement from r15 becomes the field's name.
static void print_text(struct golden *g, const char *text, const ZydisDecodedInstruction *z,
                       const ZydisDecodedOperand *op)
{
    for (unsigned i = 0; i < z->operand_count_visible; i++) {
        i64 disp = op[i].mem.disp.value;
        const char *number = strstr(text, "+0x");

        if (op[i].type != ZYDIS_OPERAND_TYPE_MEMORY || op[i].mem.base != ZYDIS_REGISTER_R15 || !number)
            continue;
        for (unsigned f = 0; f < ARRAY_LEN(fields); f++) {
            if (disp < fields[f].offset || disp >= fields[f].offset + fields[f].size)
                continue;
            fprintf(g->out, "%.*s %s", (int)(number - text), text, fields[f].name);
            if (disp != fields[f].offset)
                fprintf(g->out, "+%d", (int)(disp - fields[f].offset));
            fprintf(g->out, "%s\n", strchr(number, ']'));
            return;
        }
    }
    fprintf(g->out, "%s\n", text);
}

static void print_code(struct golden *g, u32 from, u32 to)
{
    const struct block *b = &g->code.block;

    while (from < to) {
        ZydisDecodedInstruction z;
        ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
        char text[160];

        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&g->rig.decoder, g->rig.room + from, to - from, &z, op)))
            return;
        ZydisFormatterFormatInstruction(&g->formatter, &z, op, z.operand_count_visible, text,
                                        sizeof(text), ZYDIS_RUNTIME_ADDRESS_NONE, NULL);
        from += z.length;
        fprintf(g->out, "    ");
        if (z.raw.imm[0].is_relative) {
            u32 target = b->host + from + (u32)z.raw.imm[0].value.u;
            struct checker c = { .r = &g->rig };

            fprintf(g->out, "%s ", ZydisMnemonicGetString(z.mnemonic));
            print_target(g, target, to);
            if (z.meta.category == ZYDIS_CATEGORY_CALL)
                from += data_len(&c, target);
        } else {
            print_text(g, text, &z, op);
        }
    }
}

static bool run_case(struct golden *g, const struct way *way, u8 *bytes, u32 len)
{
    u8 hints[INSN_MAX + 2];
    struct bt_request rq = {
        .bytes = bytes, .avail = len + 2, .eip = 0x08048000, .mode = way->mode, .hints = hints,
        .cs = 1, .base = 0x08040000, .limit = 0xffff,
    };
    const struct block *b = &g->code.block;
    u32 first, end;

    rig_sane(&rq);
    memset(hints, way->hint, sizeof(hints));
    memcpy(bytes + len, "\x0f\x0b", 2);
    spaces_reset(&g->rig.spaces); // slot numbers do not depend on the cases before
    if (!rig_translate(&g->rig, &rq, &g->code))
        return false;
    first = g->code.insn[0].host;
    end = b->insn_count > 1 ? g->code.insn[1].host : b->host_len - BT_STALE_LEN;
    fprintf(g->out, "= %u bytes\n", end - first);
    print_code(g, first, end);
    return true;
}

static bool run_line(struct golden *g, const char *line)
{
    const char *colon = strchr(line, ':');
    u8 bytes[INSN_MAX + 2];
    u32 len = 0;

    for (unsigned i = 0; i < ARRAY_LEN(ways) && colon; i++) {
        size_t n = strlen(ways[i].name);

        if ((size_t)(colon - line) != n + 2 || memcmp(line + 2, ways[i].name, n) != 0)
            continue;
        while (len < INSN_MAX && sscanf(colon + 1 + 3 * len, " %2hhx", &bytes[len]) == 1)
            len++;
        return len && run_case(g, &ways[i], bytes, len);
    }
    return false;
}

// Writes the file as it should be to g->out.
static bool regenerate(struct golden *g, FILE *in)
{
    char line[256];

    while (fgets(line, sizeof(line), in)) {
        if (*line != '=' && *line != ' ')
            fputs(line, g->out);
        if (*line == '>' && !run_line(g, line)) {
            fprintf(stderr, "cannot do this case: %s", line);
            return false;
        }
    }
    return true;
}

static bool same(const char *path, FILE *in, const char *should)
{
    char line[256], last[256] = "";
    unsigned n = 1;

    rewind(in);
    for (; fgets(line, sizeof(line), in); n++) {
        size_t len = strlen(line);

        if (*line == '>')
            strcpy(last, line);
        if (strncmp(should, line, len) != 0)
            break;
        should += len;
    }
    if (feof(in) && !*should)
        return true;
    printf("%s:%u: emitted code has changed, in\n%sfrom here, it is\n%.600s\n", path, n, last, should);
    printf("If that is meant: golden_code -w %s, and say why in the commit.\n", path);
    return false;
}

int main(int argc, char **argv)
{
    bool write = argc == 3 && strcmp(argv[1], "-w") == 0, fine;
    static struct golden g;
    char *should = NULL;
    size_t size = 0;
    FILE *in = argc > 1 ? fopen(argv[argc - 1], "r+") : NULL;

    if (!in && argc > 1)
        in = fopen(argv[argc - 1], "r"); // a read-only tree can be compared
    if (!in) {
        fprintf(stderr, "usage: golden_code [-w] FILE\n");
        return 2;
    }
    rig_init(&g.rig);
    ZydisFormatterInit(&g.formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    g.out = open_memstream(&should, &size);
    fine = g.out && regenerate(&g, in);
    if (g.out)
        fclose(g.out);
    if (fine && write) {
        fclose(in);
        in = fopen(argv[argc - 1], "w");
        fine = in && fwrite(should, 1, size, in) == size;
    } else if (fine) {
        fine = same(argv[argc - 1], in, should);
    }
    if (in && fclose(in) != 0)
        fine = false;
    free(should);
    rig_destroy(&g.rig);
    return fine ? 0 : 1;
}

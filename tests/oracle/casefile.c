// SPDX-License-Identifier: GPL-2.0-or-later
// Cases and results as text.
#include "casefile.h"

#include "segments.h"

#include "decoder/insn.h"
#include "monitor/cpu/fpu.h"

#include <stdlib.h>
#include <string.h>

static const char *const gpr_name[8] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };
static const char *const seg_name[6] = { "es", "cs", "ss", "ds", "fs", "gs" };

static void print_hex(FILE *f, const u8 *p, u32 len)
{
    for (u32 i = 0; i < len; i++)
        fprintf(f, "%02x", p[i]);
}

void case_print(FILE *f, const struct oracle_case *c)
{
    u32 at = 0;

    fprintf(f, "# seed %#llx\nmemory %#llx\neip %#x\neflags %#x\n", (unsigned long long)c->id,
            (unsigned long long)c->mem_seed, c->eip, c->eflags);
    for (int i = 0; i < 8; i++)
        fprintf(f, "%s %#x\n", gpr_name[i], c->gpr[i]);
    for (int i = 0; i < 6; i++)
        if (c->seg[i] != (i == S_CS ? SEL_CODE : SEL_DATA))
            fprintf(f, "%s %#x\n", seg_name[i], c->seg[i]);
    fprintf(f, "fx ");
    print_hex(f, c->fx, FX_BYTES);
    fprintf(f, "\n");
    for (unsigned i = 0; i < c->count; at += c->len[i++]) {
        fprintf(f, "insn ");
        print_hex(f, c->code + at, c->len[i]);
        fprintf(f, "\n#");
        insn_print(f, c->code + at, c->len[i], c->eip + at, case_code32(c) ? 32 : 16);
    }
}

static bool read_hex(const char *text, u8 *out, u32 max, u32 *len)
{
    unsigned byte;

    for (*len = 0; *len < max && sscanf(text, "%2x", &byte) == 1 && text[1] > ' '; text += 2)
        out[(*len)++] = byte;
    return *text <= ' ';
}

static bool read_line(const char *line, struct oracle_case *c)
{
    char key[16];
    int at = 0;
    u32 len;
    u64 x;

    if (*line == '#' || *line == ' ' || *line == '\n')
        return true;
    if (sscanf(line, "%15s %n", key, &at) != 1 || !at)
        return false;
    if (strcmp(key, "insn") == 0) {
        if (c->count == CASE_INSNS || !read_hex(line + at, c->code + c->code_len, CASE_CODE - c->code_len, &len))
            return false;
        c->len[c->count++] = len;
        c->code_len += len;
        return true;
    }
    if (strcmp(key, "fx") == 0)
        return read_hex(line + at, c->fx, FX_BYTES, &len);
    x = strtoull(line + at, NULL, 0);
    for (int i = 0; i < 8; i++)
        if (strcmp(key, gpr_name[i]) == 0)
            return c->gpr[i] = x, true;
    for (int i = 0; i < 6; i++)
        if (strcmp(key, seg_name[i]) == 0)
            return c->seg[i] = x, true;
    if (strcmp(key, "memory") == 0)
        c->mem_seed = x;
    else if (strcmp(key, "eip") == 0)
        c->eip = x;
    else if (strcmp(key, "eflags") == 0)
        c->eflags = x;
    else
        return false;
    return true;
}

bool case_read(const char *path, struct oracle_case *c)
{
    FILE *f = fopen(path, "r");
    char line[2048];
    bool fine = true;

    memset(c, 0, sizeof(*c));
    for (int i = 0; i < 6; i++)
        c->seg[i] = i == S_CS ? SEL_CODE : SEL_DATA;
    while (f && fine && fgets(line, sizeof(line), f)) {
        fine = read_line(line, c);
        if (!fine)
            fprintf(stderr, "%s: don't understand: %s", path, line);
    }
    if (!f)
        perror(path);
    else
        fclose(f);
    return f && fine && c->count;
}

void result_print(FILE *f, const char *who, const struct oracle_result *r)
{
    fprintf(f, "# %s: vector %02x error %x cr2 %08x eip %08x eflags %08x memory bytes changed %u\n#  ", who,
            r->vector, r->error, r->cr2, r->eip, r->eflags, r->diffs);
    for (int i = 0; i < 8; i++)
        fprintf(f, " %s %08x", gpr_name[i], r->gpr[i]);
    fprintf(f, "\n");
}

struct comparison {
    FILE *f;
    bool same;
};

static void compare(struct comparison *cmp, const char *what, int index, u64 native, u64 guest)
{
    if (native == guest)
        return;
    cmp->same = false;
    if (cmp->f)
        fprintf(cmp->f, index < 0 ? "# differs: %s%.0d native %llx guest %llx\n" :
                "# differs: %s%d native %llx guest %llx\n", what, index < 0 ? 0 : index,
                (unsigned long long)native, (unsigned long long)guest);
}

static void compare_fpu(struct comparison *cmp, const u8 *n, const u8 *g)
{
    compare(cmp, "fcw", -1, fx_get16(n, FX_FCW), fx_get16(g, FX_FCW));
    compare(cmp, "fsw", -1, fx_get16(n, FX_FSW), fx_get16(g, FX_FSW));
    compare(cmp, "tags", -1, n[FX_FTW], g[FX_FTW]);
    compare(cmp, "mxcsr", -1, fx_get32(n, FX_MXCSR), fx_get32(g, FX_MXCSR));
    for (int i = 0; i < 8; i++) {
        u64 a[3] = { 0 }, b[3] = { 0 };
        const u8 *x = n + FX_XMM + 16 * i, *y = g + FX_XMM + 16 * i;

        memcpy(a, n + FX_ST + 16 * i, 10);
        memcpy(b, g + FX_ST + 16 * i, 10);
        compare(cmp, "st mantissa ", i, a[0], b[0]);
        compare(cmp, "st exponent ", i, a[1], b[1]);
        memcpy(a, x, 16);
        memcpy(b, y, 16);
        compare(cmp, "xmm low ", i, a[0], b[0]);
        compare(cmp, "xmm high ", i, a[1], b[1]);
    }
}

// The host's kernel returns to user mode with IRET, which turns all four null selectors into 0.
static u16 selector(u16 sel)
{
    return sel & ~3 ? sel : 0;
}

bool result_compare(FILE *f, const struct oracle_result *n, const struct oracle_result *g, u32 undefined)
{
    struct comparison cmp = { f, true };

    compare(&cmp, "vector", -1, n->vector, g->vector);
    compare(&cmp, "error", -1, n->error, g->error);
    compare(&cmp, "cr2", -1, n->cr2, g->cr2);
    compare(&cmp, "eip", -1, n->eip, g->eip);
    if (n->vector == X_DB) // RF in the middle of a repeated string instruction: Intel's set it
        undefined |= FL_RF;
    compare(&cmp, "eflags", -1, n->eflags & ~undefined, g->eflags & ~undefined);
    for (int i = 0; i < 8; i++)
        compare(&cmp, gpr_name[i], -1, n->gpr[i], g->gpr[i]);
    for (int i = 0; i < 6; i++)
        compare(&cmp, seg_name[i], -1, selector(n->seg[i]), selector(g->seg[i]));
    compare_fpu(&cmp, n->fx, g->fx);
    compare(&cmp, "bytes of memory changed", -1, n->diffs, g->diffs);
    for (u32 i = 0; i < n->diffs && i < g->diffs && i < MAX_DIFFS; i++) {
        if (n->diff[i].at == g->diff[i].at && n->diff[i].now == g->diff[i].now)
            continue;
        compare(&cmp, "memory: image offset", -1, n->diff[i].at, g->diff[i].at);
        compare(&cmp, "memory: byte", -1, n->diff[i].now, g->diff[i].now);
        break;
    }
    compare(&cmp, "memory hash", -1, n->hash, g->hash);
    return cmp.same;
}

// SPDX-License-Identifier: GPL-2.0-or-later
// Judging a case, and making a failing one smaller.
#include "oracle.h"

#include <string.h>

#define TRIES 6

void oracle_prepare(struct oracle *o, const struct oracle_case *c)
{
    if (o->template_seed != c->mem_seed) {
        o->template_seed = c->mem_seed;
        memory_template(c->mem_seed, o->template);
    }
    memory_prepare(c, o->template, o->before);
}

bool oracle_trace(struct oracle *o, const struct oracle_case *c, struct trial *trial)
{
    oracle_prepare(o, c);
    o->progress->c = *c;
    o->progress->mode = "trace";
    trial->c = c;
    trace_case(o->tracer, &o->rules, c, o->before, &trial->trace, o->record);
    return trial->trace.usable;
}

bool oracle_usable(const struct trial *trial)
{
    const struct oracle_result *native = &trial->native;

    return native->vector < VECTOR_TIMEOUT && !case_implementation_specific(trial->c, native, &trial->trace) &&
           !(native->vector == X_PF && native->cr2 - RIG_SYSTEM < RIG_SYSTEM_PAGES * PAGE_SIZE);
}

static void run_native(struct oracle *o, struct trial *trial)
{
    o->batch->c[0] = *trial->c;
    oracle_native(o, 1);
    trial->native = o->batch->r[0];
}

// One run. FNSTENV and FNSAVE show x87's pointers, which signals and context switches lose in between at times, on the
// host as in the translator, so there a difference counts only if it stays.
static bool run_once(struct oracle *o, struct rig *rig, struct trial *trial, struct oracle_result *guest)
{
    for (int tries = trial->trace.shows_pointers ? TRIES : 1; ; tries--) {
        rig_run(rig, trial->c, o->before, guest);
        o->progress->runs++;
        if (result_compare(NULL, &trial->native, guest, trial->trace.undefined))
            return true;
        if (tries == 1)
            return false;
        run_native(o, trial);
    }
}

bool oracle_judge(struct oracle *o, struct rig *rig, struct trial *trial, struct oracle_result *guest, FILE *f)
{
    oracle_prepare(o, trial->c);
    o->progress->c = *trial->c;
    o->progress->mode = rig->mode->name;
    for (int run = 0; run < 2; run++) {
        if (run_once(o, rig, trial, guest))
            continue;
        if (f) {
            fprintf(f, "# mode %s, run %d\n", rig->mode->name, run);
            result_compare(f, &trial->native, guest, trial->trace.undefined);
        }
        return false;
    }
    return true;
}

static bool fails(struct oracle *o, struct rig *rig, const struct oracle_case *c)
{
    struct oracle_result guest;
    struct trial trial;

    if (!oracle_trace(o, c, &trial))
        return false;
    run_native(o, &trial);
    return oracle_usable(&trial) && !oracle_judge(o, rig, &trial, &guest, NULL);
}

// Takes the change if the case still fails with it.
static bool keep(struct oracle *o, struct rig *rig, struct oracle_case *c, const struct oracle_case *changed)
{
    if (memcmp(c, changed, sizeof(*c)) == 0 || !fails(o, rig, changed))
        return false;
    *c = *changed;
    return true;
}

static void remove_bytes(struct oracle_case *c, u32 at, u32 len)
{
    memmove(c->code + at, c->code + at + len, c->code_len - at - len);
    c->code_len -= len;
    memset(c->code + c->code_len, 0, len);
}

static void remove_insn(struct oracle_case *c, unsigned i, u32 at)
{
    remove_bytes(c, at, c->len[i]);
    memmove(c->len + i, c->len + i + 1, CASE_INSNS - i - 1);
    c->count--;
}

static bool reduce_code(struct oracle *o, struct rig *rig, struct oracle_case *c)
{
    bool progress = false;

    for (int i = c->count - 1; i >= 0 && c->count > 1; i--) {
        struct oracle_case t = *c;
        u32 at = 0;

        for (int k = 0; k < i; k++)
            at += c->len[k];
        remove_insn(&t, i, at);
        if (keep(o, rig, c, &t)) {
            progress = true;
            continue;
        }
        t = *c;
        memset(t.code + at, 0x90, t.len[i]); // the layout may matter
        if (keep(o, rig, c, &t)) {
            progress = true;
            continue;
        }
        if (i == 0) {
            t = *c;
            t.eip += t.len[0];
            remove_insn(&t, 0, 0);
            progress |= keep(o, rig, c, &t);
        }
        while (c->len[i] > 1) { // prefixes
            t = *c;
            remove_bytes(&t, at, 1);
            t.len[i]--;
            if (!keep(o, rig, c, &t))
                break;
            progress = true;
        }
    }
    return progress;
}

static bool reduce_state(struct oracle *o, struct rig *rig, struct oracle_case *c)
{
    static const u32 simple[] = { 0, 1, 0x10000800 };
    struct oracle_case t;
    bool progress = false;

    for (int i = 0; i < 8; i++) {
        for (unsigned k = 0; k < ARRAY_LEN(simple); k++) {
            t = *c;
            t.gpr[i] = simple[k];
            if (c->gpr[i] == 0 || c->gpr[i] == 1 || c->gpr[i] == simple[k])
                continue;
            if (keep(o, rig, c, &t)) {
                progress = true;
                break;
            }
        }
    }
    for (u32 bit = 1; bit; bit <<= 1) {
        if (!(c->eflags & bit) || bit == FL_IF || bit == FL_FIXED1)
            continue;
        t = *c;
        t.eflags &= ~bit;
        progress |= keep(o, rig, c, &t);
    }
    t = *c;
    memset(t.fx, 0, sizeof(t.fx));
    t.fx[0] = 0x7f, t.fx[1] = 0x03, t.fx[24] = 0x80, t.fx[25] = 0x1f;
    progress |= keep(o, rig, c, &t);
    for (int i = 0; i < 16; i++) {
        t = *c;
        memset(t.fx + 32 + 16 * i, 0, 16);
        progress |= keep(o, rig, c, &t);
    }
    t = *c;
    t.eip = 0x08000100;
    progress |= keep(o, rig, c, &t);
    return progress;
}

void oracle_reduce(struct oracle *o, struct rig *rig, struct oracle_case *c)
{
    for (int round = 0; round < 6; round++) {
        bool progress = reduce_code(o, rig, c);

        if (!reduce_state(o, rig, c) && !progress)
            break;
    }
}

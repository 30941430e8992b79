// SPDX-License-Identifier: GPL-2.0-or-later
#include "forms.h"

#include <stdio.h>
#include <string.h>

static const struct row *const maps[MAP_COUNT] = { insn_map_1, insn_map_0f, insn_map_0f38, insn_map_0f3a, insn_map_vex38 };

struct walk {
    struct form_set *set;
    struct form form; // as chosen so far
    bool modrm;       // a choice has read ModRM
};

static bool same(const struct row *a, const struct row *b)
{
    return a->name && b->name && strcmp(a->name, b->name) == 0 && a->enc == b->enc && a->isa == b->isa &&
           a->sensitive == b->sensitive && a->flow == b->flow;
}

static void add_lookup(struct form_set *set, const struct row *row, unsigned has_rm, unsigned form)
{
    set->lookup[set->lookups].row = row;
    set->lookup[set->lookups].has_rm = has_rm;
    set->lookup[set->lookups++].form = form;
}

// The low three bits of the opcode are a register.
static bool holds_register(u16 op)
{
    return (op >= OP1(0x40) && op <= OP1(0x5f)) || (op > OP1(0x90) && op <= OP1(0x97)) ||
           (op >= OP1(0xb0) && op <= OP1(0xbf)) || (op >= OP0F(0xc8) && op <= OP0F(0xcf));
}

// One row, as memory or as register form. Rows that say the same under the prefix 66 or F2, or under the next opcode for
// the next register, are one form.
static void add(struct walk *w, const struct row *row, unsigned has_rm)
{
    struct form_set *set = w->set;
    bool implied = row->enc & (E_MODRM | E_ATTR(INSN_MODRM)) || w->modrm;

    for (unsigned i = set->count; i-- > 0 && set->count - i <= 4;) {
        struct form *f = &set->form[i];

        if (f->has_rm != has_rm || !same(f->row, row))
            continue;
        if (f->op == w->form.op && f->prefix == 0 && f->reg == w->form.reg && f->rm == w->form.rm) {
            add_lookup(set, row, has_rm, i);
            return;
        }
        if (!implied && holds_register(w->form.op) && (f->op & ~7) == (w->form.op & ~7)) {
            f->opcodes++;
            add_lookup(set, row, has_rm, i);
            return;
        }
    }
    add_lookup(set, row, has_rm, set->count);
    w->form.row = row;
    w->form.has_rm = has_rm;
    w->form.opcodes = 1;
    set->form[set->count++] = w->form;
}

static void visit(struct walk *w, const struct row *row, unsigned mods)
{
    static const u8 choices[] = { [BY_PFX] = 4, [BY_REG] = 8, [BY_MOD] = 2, [BY_MODREG] = 16, [BY_RM] = 8 };
    struct walk saved = *w;

    if (row->by == BY_NONE) {
        if (!row->name) {
            w->set->undefined++;
            return;
        }
        if (!(row->enc & E_MODRM) && !w->modrm) {
            add(w, row, RM_NONE);
            return;
        }
        if (mods & BIT(RM_MEM) && !(row->enc & (E_REG_ONLY | E_NO_MEM)))
            add(w, row, RM_MEM);
        if (mods & BIT(RM_REG) && !(row->enc & E_MEM_ONLY))
            add(w, row, RM_REG);
        return;
    }
    for (unsigned i = 0; i < choices[row->by]; i++) {
        unsigned inner = mods;

        if (row->by == BY_PFX) {
            w->form.prefix = i;
        } else {
            w->modrm = true;
            if (row->by == BY_REG || row->by == BY_MODREG)
                w->form.reg = i & 7;
            else if (row->by == BY_RM)
                w->form.rm = i;
            if (row->by == BY_MOD)
                inner = i ? BIT(RM_REG) : BIT(RM_MEM);
            else if (row->by == BY_MODREG)
                inner = i >= 8 ? BIT(RM_REG) : BIT(RM_MEM);
        }
        visit(w, &row->sub[i], inner);
        *w = saved;
    }
}

void forms_init(struct form_set *set)
{
    memset(set, 0, sizeof(*set));
    for (unsigned op = 0; op < MAP_COUNT * 256; op++) {
        struct walk w = { .set = set, .form = { .op = op, .prefix = FORM_ANY, .reg = FORM_ANY, .rm = FORM_ANY } };

        set->first[op] = set->lookups;
        visit(&w, &maps[op >> 8][op & 0xff], BIT(RM_MEM) | BIT(RM_REG));
    }
    set->first[MAP_COUNT * 256] = set->lookups;
}

// The row that decoding ends at.
static const struct row *leaf(const struct insn *insn)
{
    const struct row *row = &maps[insn->op >> 8][insn->op & 0xff];

    while (row->by != BY_NONE)
        row = row_choose(row, insn);
    return row;
}

int form_find(const struct form_set *set, const struct insn *insn)
{
    const struct row *row = leaf(insn);
    unsigned has_rm = !(insn->attr & INSN_MODRM) ? RM_NONE : insn->has_mem ? RM_MEM : RM_REG;

    if (!row->name || (insn->attr & INSN_UD && !(ENC_ATTR(row->enc) & INSN_UD)))
        return -1;
    for (unsigned i = set->first[insn->op]; i < set->first[insn->op + 1]; i++)
        if (set->lookup[i].row == row && set->lookup[i].has_rm == has_rm)
            return set->lookup[i].form;
    return -1;
}

static const char *const map_bytes[MAP_COUNT] = { "", "0F ", "0F 38 ", "0F 3A ", "VEX.0F38 " };

void form_key(const struct form *form, char *key)
{
    static const char *const prefix[4] = { "NP ", "66 ", "F3 ", "F2 " };
    char *p = key;

    p += sprintf(p, "%s%s%02X", form->prefix < 4 ? prefix[form->prefix] : "", map_bytes[form->op >> 8], form->op & 0xff);
    if (form->opcodes > 1)
        p += sprintf(p, "+r");
    if (form->reg != FORM_ANY)
        p += sprintf(p, " /%u", form->reg);
    else if (form->has_rm)
        p += sprintf(p, " /r");
    if (form->rm != FORM_ANY)
        p += sprintf(p, "/%u", form->rm);
    if (form->has_rm)
        sprintf(p, form->has_rm == RM_MEM ? " mem" : " reg");
}

unsigned form_opcode(const struct form *form, unsigned which, u8 *bytes)
{
    static const u8 prefix[4] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned n = 0;

    if (form->prefix < 4 && form->prefix)
        bytes[n++] = prefix[form->prefix];
    if (form->op >> 8 == MAP_VEX38) { // vvvv is EBX, EAX, EDI, ESI... in turn
        bytes[n++] = 0xc4;
        bytes[n++] = 0xe2;
        bytes[n++] = (0xc + which) % 8 << 3 | 0x40;
    } else if (form->op >> 8) {
        bytes[n++] = 0x0f;
    }
    if (form->op >> 8 == MAP_0F38 || form->op >> 8 == MAP_0F3A)
        bytes[n++] = form->op >> 8 == MAP_0F38 ? 0x38 : 0x3a;
    bytes[n++] = (form->op & 0xff) + which % form->opcodes;
    return n;
}

u8 form_modrm(const struct form *form, u8 wanted)
{
    u8 modrm = wanted;

    if (form->has_rm == RM_REG)
        modrm |= 0xc0;
    else if (modrm >> 6 == 3)
        modrm &= 0xbf;
    if (form->reg != FORM_ANY)
        modrm = (modrm & 0xc7) | form->reg << 3;
    if (form->rm != FORM_ANY)
        modrm = (modrm & 0xf8) | form->rm;
    return modrm;
}

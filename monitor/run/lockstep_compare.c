// SPDX-License-Identifier: GPL-2.0-or-later
// Compares the two sides; the first difference is reported, and ends the run.
#include "lockstep.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define PTE_AD 0x60u // accessed and dirty: when they are set is not exact, that they are is

void lockstep_differs(struct lockstep *ls, const char *fmt, ...)
{
    va_list ap;

    if (ls->differs)
        return;
    ls->differs = true;
    va_start(ap, fmt);
    vsnprintf(ls->why, sizeof(ls->why), fmt, ap);
    va_end(ap);
}

// ---- Registers
#define REGISTER_LIST(X)                                                                     \
    X(eip) X(cr0) X(cr2) X(cr3) X(cr4) X(cpl) X(shadow) X(halted) X(nmi_blocked)             \
    X(gdtr.base) X(gdtr.limit) X(idtr.base) X(idtr.limit) X(efer) X(apic_base)               \
    X(sysenter_cs) X(sysenter_esp) X(sysenter_eip) X(mtrr_deftype) X(pat)
// The debug registers hold traps that are pending, too.
#define ARRAY_LIST(X)                                                                        \
    X(pdpte, "the PDPTE registers") X(dr, "the debug registers") X(mtrr, "the MTRRs")        \
    X(mtrr_fixed, "the fixed MTRRs") X(misc_msr, "other MSRs")

static const char *const gpr_name[8] = { "EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI" };
static const char *const seg_name[S_COUNT] = { "ES", "CS", "SS", "DS", "FS", "GS" };

static void compare_seg(struct lockstep *ls, const char *name, const struct seg *a, const struct seg *b)
{
    if (a->sel != b->sel || a->attr != b->attr || a->base != b->base || a->limit != b->limit)
        lockstep_differs(ls, "%s is %04x base %08x limit %08x attributes %04x in bt, %04x %08x %08x %04x in interp", name,
                         a->sel, a->base, a->limit, a->attr, b->sel, b->base, b->limit, b->attr);
}

void compare_registers(struct lockstep *ls)
{
    const struct vcpu *a = ls->v, *b = ls->shadow;

#define X(field)                                                                             \
    if (a->field != b->field)                                                                \
        lockstep_differs(ls, #field " is %llx in bt, %llx in interp", (unsigned long long)a->field, \
                         (unsigned long long)b->field);
    REGISTER_LIST(X)
#undef X
    for (int i = 0; i < 8; i++)
        if (a->gpr[i] != b->gpr[i])
            lockstep_differs(ls, "%s is %08x in bt, %08x in interp", gpr_name[i], a->gpr[i], b->gpr[i]);
    if ((a->eflags ^ b->eflags) & ~FL_RF) // bt has no use for RF, and drops it early
        lockstep_differs(ls, "EFLAGS is %08x in bt, %08x in interp", a->eflags, b->eflags);
    for (int i = 0; i < S_COUNT; i++)
        compare_seg(ls, seg_name[i], &a->seg[i], &b->seg[i]);
    compare_seg(ls, "LDTR", &a->ldtr, &b->ldtr);
    compare_seg(ls, "TR", &a->tr, &b->tr);
#define X(field, name)                                                                       \
    if (memcmp(a->field, b->field, sizeof(a->field)))                                        \
        lockstep_differs(ls, name " differ");
    ARRAY_LIST(X)
#undef X
}

// The parts of FXSAVE's image.
void compare_fpu(struct lockstep *ls)
{
    static const struct {
        u16 at, len;
        const char *name;
    } part[] = {
        { 0, 6, "x87 control, status or tag word" }, { 6, 18, "an x87 pointer" },
        { 24, 4, "MXCSR" }, { 32, 128, "an x87 register" },
        { 160, 128, "an XMM register" },
    };

    cpu_fpu_acquire(ls->v);
    cpu_fpu_acquire(ls->shadow);
    ls->stat.fpu++;
    if (ls->v->ferr_level != ls->shadow->ferr_level)
        lockstep_differs(ls, "FERR# is %d in bt, %d in interp", ls->v->ferr_level, ls->shadow->ferr_level);
    for (unsigned i = 0; i < ARRAY_LEN(part); i++)
        for (unsigned j = part[i].at; j < (unsigned)part[i].at + part[i].len; j++) {
            if (part[i].at == 32 && (j - 32) % 16 >= 10) // reserved
                continue;
            if (ls->v->fx[j] != ls->shadow->fx[j]) {
                lockstep_differs(ls, "%s differs: byte %u of FXSAVE's image is %02x in bt, %02x in interp", part[i].name,
                                 j, ls->v->fx[j], ls->shadow->fx[j]);
                return;
            }
        }
}

// ---- Memory
// Page `frame` of the memfd.
static void compare_page(struct lockstep *ls, u32 frame)
{
    u8 *a = phys_frame_host(ls->v->mmu->phys, frame), *b = phys_frame_host(&ls->phys, frame);

    if (memcmp(a, b, PAGE_SIZE) == 0)
        return;
    for (u32 i = 0; i < PAGE_SIZE; i += 4) {
        u32 x, y;

        memcpy(&x, a + i, 4);
        memcpy(&y, b + i, 4);
        if (x == y)
            continue;
        if ((x ^ y) & ~PTE_AD) {
            lockstep_differs(ls, "memory at physical address %08x is %08x in bt, %08x in interp", (frame << PAGE_SHIFT) + i,
                             x, y);
            return;
        }
        ls->stat.accessed++;
        memcpy(b + i, &x, 4);
    }
}

void compare_written_pages(struct lockstep *ls)
{
    struct vcpu *s = ls->shadow;

    for (unsigned i = 0; i < TLB_SIZE && !ls->differs; i++)
        if (s->tlb[i].wtag) {
            gla_t gla = s->tlb[i].wtag & PAGE_MASK;

            ls->stat.pages++;
            s->tlb[i].wtag = 0; // so that the next time only those come up that were written in between
            compare_page(ls, (s->tlb[i].addend + gla - (uintptr_t)ls->phys.mem) >> PAGE_SHIFT);
        }
}

void compare_ram(struct lockstep *ls)
{
    const struct phys *from = ls->v->mmu->phys;
    off_t at = 0, end;

    ls->stat.ram++;
    while (!ls->differs && (at = lseek(from->memfd, at, SEEK_DATA)) >= 0 && at < (off_t)from->ram_size) {
        end = MIN((u64)lseek(from->memfd, at, SEEK_HOLE), from->ram_size);
        for (; at < end && !ls->differs; at += PAGE_SIZE)
            compare_page(ls, at >> PAGE_SHIFT);
    }
}

// ---- The report
static void print_block(struct lockstep *ls, FILE *f)
{
    struct engine *e = ls->bt;
    const struct block *b = &ls->block;

    if (!b->host)
        return;
    fprintf(f, "the block entered last, at %08x, mode %x, %u instructions%s:\n",
            bt_block_linear(e, e->space, b), (u32)b->mode, b->insn_count, b->gpa_page2 ? ", into the next page" : "");
    bt_trace_block(e, f, b, block_insns(&e->blocks, b),
                   phys_host(e->v->mmu->phys, ((gpa_t)b->gpa_page << PAGE_SHIFT) + (b->eip & ~PAGE_MASK)),
                   (const u8 *)(u64)b->host);
}

static void print_number(FILE *f, const char *name, unsigned i, const u8 *bytes, unsigned len)
{
    fprintf(f, "%s%u ", name, i);
    while (len--)
        fprintf(f, "%02x", bytes[len]);
    fputc(i % 2 ? '\n' : ' ', f);
}

static void print_side(struct vcpu *v, FILE *f)
{
    const u8 *fx = v->fx;
    u16 word[3];
    u32 mxcsr;

    memcpy(word, fx, sizeof(word));
    memcpy(&mxcsr, fx + 24, sizeof(mxcsr));
    cpu_print(v, f);
    fprintf(f, "events %x, pending traps %x, shadow %u, NMI %s, FERR# %u, sysenter %04x:%08x:%08x, apic %llx, pat %llx\n",
            v->event, v->dr[4], v->shadow, v->nmi_blocked ? "blocked" : "free", v->ferr_level, v->sysenter_cs,
            v->sysenter_eip, v->sysenter_esp, (unsigned long long)v->apic_base, (unsigned long long)v->pat);
    fprintf(f, "fcw %04x fsw %04x tags %02x mxcsr %08x\n", word[0], word[1], word[2] & 0xff, mxcsr);
    for (unsigned i = 0; i < 8; i++)
        print_number(f, "st", i, fx + 32 + 16 * i, 10);
    for (unsigned i = 0; i < 8; i++)
        print_number(f, "xmm", i, fx + 160 + 16 * i, 16);
}

void lockstep_report(struct lockstep *ls, FILE *f)
{
    u64 n = MIN(ls->history_count, (u64)LOCKSTEP_HISTORY);

    fprintf(f, "lockstep: the engines differ after %llu instructions, %llu exits of blocks: %s\n",
            (unsigned long long)ls->stat.instructions, (unsigned long long)ls->stat.exits, ls->why);
    cpu_fpu_acquire(ls->v);
    fprintf(f, "---- bt:\n");
    print_side(ls->v, f);
    fprintf(f, "---- interp:\n");
    print_side(ls->shadow, f);
    print_block(ls, f);
    fprintf(f, "the last blocks, oldest first:");
    for (u64 i = 0; i < n; i++)
        fprintf(f, "%s%08x", i % 10 ? " " : "\n", ls->history[(ls->history_count - n + i) % LOCKSTEP_HISTORY]);
    fprintf(f, "\n");
    fflush(f);
}

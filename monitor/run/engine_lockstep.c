// SPDX-License-Identifier: GPL-2.0-or-later
// The translator and the interpreter on the same guest, compared block by block (lockstep.h).
#include "lockstep.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// What makes each exit of a block come to C, with its count of instructions.
#define OPTIONS "chain=off,returns=off,loops=off,count=on"

// ---- The shadow
static bool shadow_create(struct lockstep *ls, struct err *err)
{
    const struct phys *phys = ls->v->mmu->phys;
    void *mem = mmap(NULL, sizeof(struct vcpu), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (mem == MAP_FAILED)
        return err_set(err, EXIT_HOST, "no memory for the virtual CPU's shadow");
    ls->shadow = mem;
    ls->quiet.file = stderr;
    if (!phys_init(&ls->phys, phys->ram_size, &ls->shadow_bus, err))
        return false;
    return mmu_init(&ls->mmu, ls->shadow, &ls->phys, err);
}

static void shadow_destroy(struct lockstep *ls)
{
    if (!ls->shadow)
        return;
    if (ls->shadow->mmu)
        mmu_destroy(&ls->mmu);
    if (ls->phys.mem)
        phys_destroy(&ls->phys);
    interp_release(ls->shadow);
    munmap(ls->shadow, sizeof(struct vcpu));
}

// Copies what bt's memory has; what was never touched stays a hole in both.
static void copy_memory(struct lockstep *ls)
{
    const struct phys *from = ls->v->mmu->phys;
    off_t at = 0, end;

    CHECK(fallocate(ls->phys.memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, ls->phys.mem_size) == 0);
    while ((at = lseek(from->memfd, at, SEEK_DATA)) >= 0) {
        end = lseek(from->memfd, at, SEEK_HOLE);
        memcpy(ls->phys.mem + at, from->mem + at, end - at);
        at = end;
    }
}

// Makes the shadow what bt's side is now.
static void seed(struct lockstep *ls)
{
    struct vcpu *s = ls->shadow, wiring = *s;

    replay_clear(ls);
    cpu_fpu_acquire(ls->v);
    *s = *ls->v;
    s->event = 0;
    s->intr_line = false;
    s->bus = wiring.bus;
    s->mmu = wiring.mmu;
    s->log = &ls->quiet;
    s->intr_ack = NULL;
    s->apic_base_changed = NULL;
    s->pic = NULL;
    s->ferr = wiring.ferr;
    s->clock = wiring.clock;
    s->decoded = wiring.decoded;
    s->catcher = NULL;
    s->fpu_live = false;
    s->fpu_sync = NULL;
    memset(s->tlb, 0, sizeof(s->tlb));
    replay_copy_map(ls);
    copy_memory(ls);
    mmu_mode_changed(s);
    mmu_flush_all(s);
    ls->seeded = true;
}

// ---- What bt's side tells us
// Runs one instruction of the shadow. bt may have left a repeated string instruction between two iterations.
static void shadow_step(struct lockstep *ls)
{
    struct vcpu *s = ls->shadow, *v = ls->v;
    u32 eip = s->eip, left = v->gpr[R_ECX], mask = ~0u;
    u8 bytes[INSN_MAX];
    struct insn insn;

    if (v->eip == eip && v->eflags & FL_RF && left) {
        jmp_buf catcher;
        gpa_t gpa;

        s->catcher = &catcher;
        if (_setjmp(catcher) == 0 &&
            insn_decode(&insn, bytes, mmu_fetch(s, s->seg[S_CS].base + eip, bytes, INSN_MAX, &gpa),
                        s->seg[S_CS].attr & SEG_DB) == INSN_OK &&
            insn.prefix & (PFX_REP | PFX_REPNE)) {
            mask = insn.addrsize == 4 ? ~0u : 0xffff;
            s->catcher = NULL;
            if ((s->gpr[R_ECX] & mask) > (left & mask)) {
                s->gpr[R_ECX] -= left & mask;
                interp_step(s);
                s->gpr[R_ECX] += left & mask;
                s->eip = eip;
                s->eflags |= FL_RF;
                return;
            }
        }
        s->catcher = NULL;
    }
    if (interp_step(s) == CPU_TRIPLE_FAULT && ls->bt->exit != CPU_TRIPLE_FAULT)
        lockstep_differs(ls, "the interpreter triple-faulted");
}

static bool check(struct lockstep *ls)
{
    if (!ls->differs)
        compare_registers(ls);
    if (!ls->differs && ls->stat.exits % LOCKSTEP_FPU_EVERY == 0)
        compare_fpu(ls);
    if (!ls->differs && ls->stat.exits % LOCKSTEP_PAGES_EVERY == 0)
        compare_written_pages(ls);
    if (!ls->differs && ls->stat.exits % LOCKSTEP_RAM_EVERY == 0)
        compare_ram(ls);
    if (ls->differs)
        lockstep_report(ls, stderr);
    return !ls->differs;
}

// The x87 opcode, instruction and data pointers: hosts that keep them for unmasked exceptions only (most) give bt fewer of
// them than the interpreter has. The shadow takes bt's, so that what FXSAVE stores later is the same.
static void share_pointers(struct lockstep *ls)
{
    cpu_fpu_acquire(ls->shadow);
    memcpy(ls->shadow->fx + 6, ls->v->fx + 6, 24 - 6);
}

static bool ran(struct bt_watch *w, u32 n)
{
    struct lockstep *ls = (struct lockstep *)w;

    if (ls->differs)
        return false;
    ls->stat.exits++;
    ls->stat.instructions += n;
    cpu_fpu_acquire(ls->v); // the interpreter needs the host's unit
    if (n > 1)
        interp_run(ls->shadow, n - 1);
    shadow_step(ls);
    replay_memory_changes(ls);
    if (!ls->differs && ls->head != ls->count)
        lockstep_differs(ls, "the translator accessed a device (%s %#x) or the clock, and the interpreter did not",
                         ls->queue[ls->head].space == BUS_PORT ? "port" : "address", ls->queue[ls->head].addr);
    replay_clear(ls);
    share_pointers(ls);
    return check(ls);
}

static bool interrupted(struct bt_watch *w)
{
    struct lockstep *ls = (struct lockstep *)w;
    struct vcpu *s = ls->shadow;
    int vector = ls->vector;

    ls->vector = -1;
    ls->stat.interrupts++;
    if (vector < 0) {
        s->nmi_blocked = true;
        vector = X_NMI;
    }
    cpu_deliver(s, EVENT_INTR, vector, 0);
    return check(ls);
}

static void entering(struct bt_watch *w, const struct block *b)
{
    struct lockstep *ls = (struct lockstep *)w;

    ls->history[ls->history_count++ % LOCKSTEP_HISTORY] = b->eip;
    ls->block = *b;
}

// ---- The engine
static void destroy(struct engine *e)
{
    struct lockstep *ls = lockstep_of(e);

    replay_destroy(ls);
    shadow_destroy(ls);
    engine_bt.destroy(e);
    free(ls);
}

static struct engine *create(struct vcpu *v, const char *options, struct err *err)
{
    struct lockstep *ls = calloc(1, sizeof(*ls));
    char *all = NULL;

    if (!ls || asprintf(&all, "%s%s" OPTIONS, options ? options : "", options ? "," : "") < 0) {
        err_set(err, EXIT_HOST, "out of memory");
        free(ls);
        return NULL;
    }
    ls->bt = engine_bt.create(v, all, err);
    free(all);
    if (!ls->bt) {
        free(ls);
        return NULL;
    }
    ls->v = v;
    ls->vector = -1;
    ls->watch = (struct bt_watch){ .ran = ran, .interrupted = interrupted, .entering = entering };
    ls->bt->watch = &ls->watch;
    ls->phys.memfd = -1;
    if (!shadow_create(ls, err) || !replay_init(ls, err)) {
        destroy(ls->bt);
        return NULL;
    }
    return ls->bt;
}

static enum cpu_exit run(struct engine *e)
{
    struct lockstep *ls = lockstep_of(e);

    if (!ls->seeded)
        seed(ls);
    replay_memory_changes(ls); // what devices did between two runs
    replay_clear(ls);
    return ls->differs ? CPU_DIVERGED : engine_bt.run(e);
}

// Every exit of a block looks at the event word.
static void kick(struct engine *e)
{
    (void)e;
}

static void memory_changed(struct engine *e, gpa_t gpa, size_t len)
{
    struct lockstep *ls = lockstep_of(e);

    if (!ls->seeded)
        return;
    if (len)
        replay_memory(ls, gpa, len);
    else
        replay_map(ls);
}

static void restarted(struct engine *e)
{
    lockstep_of(e)->seeded = false;
}

static void stats(struct engine *e, FILE *f)
{
    const struct lockstep *ls = lockstep_of(e);

    fprintf(f, "engine: lockstep, %s\n", ls->differs ? "stopped at a difference" : "no difference");
    fprintf(f, "%16llu  instructions executed by both\n", (unsigned long long)ls->stat.instructions);
    fprintf(f, "%16llu  exits of blocks at which registers were compared\n", (unsigned long long)ls->stat.exits);
    fprintf(f, "%16llu  comparisons of floating-point state\n", (unsigned long long)ls->stat.fpu);
    fprintf(f, "%16llu  written pages compared\n", (unsigned long long)ls->stat.pages);
    fprintf(f, "%16llu  comparisons of all memory\n", (unsigned long long)ls->stat.ram);
    fprintf(f, "%16llu  inputs played back\n", (unsigned long long)ls->stat.inputs);
    fprintf(f, "%16llu  interrupts\n", (unsigned long long)ls->stat.interrupts);
    fprintf(f, "%16llu  page-table entries that differed in A or D only\n", (unsigned long long)ls->stat.accessed);
    engine_bt.stats(e, f);
}

const struct engine_ops engine_lockstep = {
    .name = "lockstep",
    .help = "bt and interp side by side, compared block by block: a test of both",
    .create = create,
    .destroy = destroy,
    .run = run,
    .kick = kick,
    .stats = stats,
    .memory_changed = memory_changed,
    .restarted = restarted,
};

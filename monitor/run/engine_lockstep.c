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

// The host's unit holds bt's floating-point state, until the shadow needs the unit: most blocks have nothing to do with
// it, and taking it away from bt and giving it back costs more than a block.
static void lend_fpu(struct vcpu *s)
{
    s->fpu_live = false;
    cpu_fpu_acquire(lockstep_of_shadow(s)->v);
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
    s->pic = ls;
    s->ferr = wiring.ferr;
    s->clock = wiring.clock;
    s->decoded = wiring.decoded;
    s->catcher = NULL;
    s->fpu_live = false;
    s->fpu_sync = lend_fpu;
    memset(s->tlb, 0, sizeof(s->tlb));
    replay_copy_map(ls);
    copy_memory(ls);
    mmu_mode_changed(s);
    mmu_flush_all(s);
    ls->seeded = true;
}

// ---- What bt's side tells us
bool partial_step(struct vcpu *v, u32 left)
{
    interp_step_until(v, &left);
    return left != 0;
}

// Runs one instruction of the shadow. bt may have left a repeated string instruction between two iterations.
static void shadow_step(struct lockstep *ls)
{
    struct vcpu *s = ls->shadow, *v = ls->v;
    u32 left = v->eip == s->eip && v->eflags & FL_RF ? v->gpr[R_ECX] : 0;

    ls->partial_eip = v->eip;
    ls->partial_ecx = left;
    if (interp_step_until(s, &left) == CPU_TRIPLE_FAULT && ls->bt->exit != CPU_TRIPLE_FAULT)
        lockstep_differs(ls, "the interpreter triple-faulted");
    ls->partial = left;
}

static bool check(struct lockstep *ls)
{
    if (!ls->differs)
        compare_registers(ls);
    if (!ls->differs && ls->stat.exits % ls->every == 0) {
        compare_fpu(ls);
        compare_written_pages(ls);
    }
    if (!ls->differs && ls->stat.exits % ls->all == 0)
        compare_ram(ls);
    if (ls->differs)
        lockstep_report(ls, stderr);
    return !ls->differs;
}

// Runs n instructions of the shadow, what their faults lead to included.
static void shadow_run(struct lockstep *ls, u32 n)
{
    const struct vcpu *v = ls->v;
    struct vcpu *s = ls->shadow;
    bool traps = (s->eflags | v->eflags) & FL_TF || (s->dr[7] | v->dr[7]) & 0xff || v->eflags & FL_RF;

    ls->partial = false;
    s->fpu_live = v->fpu_live;
    if (n > traps)
        interp_run(s, n - traps);
    if (traps)
        shadow_step(ls);
    else
        cpu_traps(s);
    s->fpu_live = false;
    s->event = 0; // what FERR# has posted
    ls->position += n - ls->partial;
}

// Replaying: what the log has for the place between two instructions. False at its end.
static bool come_between(struct lockstep *ls)
{
    if (!ls->log.replays)
        return true;
    log_between(ls);
    replay_memory_changes(ls);
    replay_clear(ls);
    if (ls->differs)
        lockstep_report(ls, stderr);
    return !ls->log.over && !ls->differs;
}

static bool at_limit(const struct lockstep *ls)
{
    return ls->stat.instructions >= ls->limit && ls->bt->exit != CPU_TRIPLE_FAULT;
}

static bool ran(struct bt_watch *w, u32 n)
{
    struct lockstep *ls = (struct lockstep *)w;

    if (ls->differs || ls->log.over)
        return false;
    ls->stat.exits++;
    ls->stat.instructions += n;
    shadow_run(ls, n);
    if (unlikely(ls->stat.instructions >= ls->differ))
        ls->shadow->gpr[R_EBX] ^= 0x10;
    replay_memory_changes(ls);
    if (!ls->differs && ls->head != ls->count)
        lockstep_differs(ls, "the translator accessed a device (%s %#x) or the clock, and the interpreter did not",
                         ls->queue[ls->head].space == BUS_PORT ? "port" : "address", ls->queue[ls->head].addr);
    replay_clear(ls);
    return check(ls) && come_between(ls) && !at_limit(ls);
}

static bool interrupted(struct bt_watch *w)
{
    struct lockstep *ls = (struct lockstep *)w;
    struct vcpu *s = ls->shadow;
    int vector = ls->vector;

    ls->vector = -1;
    ls->stat.interrupts++;
    log_record(ls, &(struct input){ .kind = IN_VECTOR, .value = vector < 0 ? VECTOR_NMI : (u32)vector });
    ls->log.vector = NO_VECTOR;
    if (vector < 0) {
        s->nmi_blocked = true;
        vector = X_NMI;
    }
    cpu_deliver(s, EVENT_INTR, vector, 0);
    ls->partial = false;
    return check(ls) && come_between(ls);
}

static bool entering(struct bt_watch *w, const struct block *b)
{
    struct lockstep *ls = (struct lockstep *)w;

    // Replaying, bt must stop where it did: in the last instructions before that it is the interpreter on both sides.
    if (log_before(ls, b->insn_count))
        return false;

    ls->history[ls->history_count++ % LOCKSTEP_HISTORY] = bt_linear(ls->bt->v);
    ls->block = *b;
    return true;
}

// ---- The engine
static void destroy(struct engine *e)
{
    struct lockstep *ls = lockstep_of(e);

    log_close(ls);
    replay_destroy(ls);
    shadow_destroy(ls);
    engine_bt.destroy(e);
    free(ls);
}

static u64 *number_option(struct lockstep *ls, const char *item)
{
    return strncmp(item, "every=", 6) == 0 ? &ls->every
           : strncmp(item, "all=", 4) == 0 ? &ls->all
           : strncmp(item, "differ=", 7) == 0 ? &ls->differ
           : strncmp(item, "limit=", 6) == 0 ? &ls->limit : NULL;
}

// Takes our options from the list; what remains, with OPTIONS, is bt's. NULL if out of memory or, with *err, a bad option.
static char *take_options(struct lockstep *ls, const char *options, struct err *err)
{
    char *copy = strdup(options ? options : ""), *save = NULL;
    char *all = calloc(1, (options ? strlen(options) : 0) + 2 + sizeof(OPTIONS));

    err->text[0] = '\0';
    ls->every = LOCKSTEP_EVERY;
    ls->all = LOCKSTEP_ALL;
    ls->limit = ls->differ = UINT64_MAX;
    for (char *item = copy && all ? strtok_r(copy, ",", &save) : NULL; item; item = strtok_r(NULL, ",", &save)) {
        u64 *number = number_option(ls, item);

        if (number) {
            char *value = strchr(item, '=') + 1, *end;

            *number = strtoull(value, &end, 0);
            if (*end || end == value || !*number) {
                err_set(err, EXIT_USAGE, "-bt %s: give a number, 1 or more", item);
                break;
            }
        } else if (strncmp(item, "record=", 7) == 0 || strncmp(item, "replay=", 7) == 0) {
            if (!log_open(ls, item + 7, item[2] == 'p', err))
                break;
        } else {
            strcat(strcat(all, item), ",");
        }
    }
    free(copy);
    if (all)
        strcat(all, OPTIONS);
    if (!err->text[0] && all)
        return all;
    free(all);
    return NULL;
}

// What bt's side and the shadow would read differently, random numbers, the guest is not told of.
static void hide_differences(struct lockstep *ls, struct vcpu *v)
{
    ls->model = *v->model;
    ls->model.isa &= ~(BIT(ISA_RDRAND) | BIT(ISA_RDSEED));
    ls->model.features_ecx &= ~BIT(30);
    ls->model.leaf7_ebx &= ~BIT(18);
    v->model = &ls->model;
}

static struct engine *create(struct vcpu *v, const char *options, struct err *err)
{
    struct lockstep *ls = calloc(1, sizeof(*ls));
    char *all = ls ? take_options(ls, options, err) : NULL;

    if (!all) {
        if (!ls || !err->text[0])
            err_set(err, EXIT_HOST, "out of memory");
        if (ls)
            log_close(ls);
        free(ls);
        return NULL;
    }
    hide_differences(ls, v);
    ls->bt = engine_bt.create(v, all, err);
    free(all);
    if (!ls->bt) {
        log_close(ls);
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
    enum cpu_exit exit;

    if (!ls->seeded) {
        seed(ls);
        if (!log_start(ls)) {
            lockstep_differs(ls, "the log was recorded with another guest");
            lockstep_report(ls, stderr);
        }
    }
    replay_memory_changes(ls); // what devices did between two runs
    replay_clear(ls);
    ls->bt->exit = CPU_RAN; // what it was the last time means nothing now
    exit = !ls->differs && come_between(ls) ? engine_bt.run(e) : CPU_DIVERGED;
    if (ls->log.replays && exit == CPU_HALTED)
        ls->log.over = true; // for want of what would wake it
    return (ls->log.over || at_limit(ls)) && !ls->differs && exit != CPU_HALTED ? CPU_FINISHED : exit;
}

// Every exit of a block looks at the event word.
static void kick(struct engine *e)
{
    (void)e;
}

static void memory_changed(struct engine *e, gpa_t gpa, size_t len)
{
    struct lockstep *ls = lockstep_of(e);

    if (!ls->seeded || ls->log.replays)
        return;
    if (len)
        replay_memory(ls, gpa, len);
    else
        replay_map(ls);
}

static void restarted(struct engine *e)
{
    struct lockstep *ls = lockstep_of(e);

    // A log holds one run from the start.
    if (ls->seeded && ls->log.replays)
        ls->log.over = true;
    else if (ls->seeded)
        log_close(ls);
    ls->seeded = false;
}

bool lockstep_compare_all(struct lockstep *ls)
{
    if (!ls->seeded || ls->differs)
        return !ls->differs;
    replay_memory_changes(ls);
    compare_registers(ls);
    compare_fpu(ls);
    compare_ram(ls);
    if (ls->differs)
        lockstep_report(ls, stderr);
    return !ls->differs;
}

static void stats(struct engine *e, FILE *f)
{
    struct lockstep *ls = lockstep_of(e);

    lockstep_compare_all(ls); // to the end of the run
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
    .repeatable = true,
    .create = create,
    .destroy = destroy,
    .run = run,
    .kick = kick,
    .stats = stats,
    .memory_changed = memory_changed,
    .restarted = restarted,
};

// SPDX-License-Identifier: GPL-2.0-or-later
// The binary-translation engine: create, run, options, statistics.
#include "engine_bt.h"

#include "monitor/cpu/fpu.h"

#include <errno.h>
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CACHE_DEFAULT (44u << 20) // 64 MiB and 3 % of RAM are what the whole monitor may take
#define CACHE_MIN (256u << 10)
#define CACHE_MAX (1u << 30)

static bool parse_bool(const char *value, bool *out)
{
    *out = strcmp(value, "on") == 0;
    return *out || strcmp(value, "off") == 0;
}

static bool parse_number(const char *value, u32 min, u32 max, u32 *out)
{
    char *end;
    unsigned long long n = strtoull(value, &end, 0);

    if (*end == 'K' || *end == 'k')
        n <<= 10, end++;
    else if (*end == 'M' || *end == 'm')
        n <<= 20, end++;
    *out = n;
    return end != value && !*end && n >= min && n <= max;
}

static bool parse_option(struct bt_options *opt, const char *name, const char *value, struct err *err)
{
#define X(id, def, help)                                                                     \
    if (strcmp(name, #id) == 0)                                                              \
        return parse_bool(value, &opt->id) ||                                                \
               err_set(err, EXIT_USAGE, "-bt %s=%s: say on or off", name, value);
    BT_OPTION_LIST(X)
#undef X
    if (strcmp(name, "cache") == 0)
        return parse_number(value, CACHE_MIN, CACHE_MAX, &opt->cache_size) ||
               err_set(err, EXIT_USAGE, "-bt cache=%s: give 256K to 1024M", value);
    if (strcmp(name, "block") == 0)
        return parse_number(value, 1, BT_MAX_INSNS, &opt->block_insns) ||
               err_set(err, EXIT_USAGE, "-bt block=%s: give 1 to %d instructions", value, BT_MAX_INSNS);
    if (strcmp(name, "flush") == 0)
        return parse_number(value, 0, ~0u, &opt->flush_every) ||
               err_set(err, EXIT_USAGE, "-bt flush=%s: give a number of exits, 0 for never", value);
    return err_set(err, EXIT_USAGE, "-bt %s: no such option; see -bt help", name);
}

static bool host_has_lahf(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(0x80000001, &a, &b, &c, &d) && c & 1;
}

static bool parse_options(struct bt_options *opt, const char *text, struct err *err)
{
    char *copy, *save = NULL, *item;
    bool fine = true;

#define X(id, def, help) opt->id = def;
    BT_OPTION_LIST(X)
#undef X
    opt->lahf = host_has_lahf();
    opt->cache_size = CACHE_DEFAULT;
    opt->block_insns = 48;
    opt->flush_every = 0;
    if (!text)
        return true;
    copy = strdup(text);
    if (!copy)
        return err_set(err, EXIT_HOST, "out of memory");
    for (item = strtok_r(copy, ",", &save); item && fine; item = strtok_r(NULL, ",", &save)) {
        char *value = strchr(item, '=');

        if (value)
            *value++ = '\0';
        fine = parse_option(opt, item, value ? value : "on", err);
    }
    free(copy);
    return fine;
}

static void print_sensitive(struct engine *e, FILE *f)
{
    fprintf(f, "sensitive instructions that the emulator did:\n");
    for (unsigned i = 1; i < SENS_COUNT; i++)
        if (e->count.sensitive[i])
            fprintf(f, "%16llu  %s\n", (unsigned long long)e->count.sensitive[i], sensitive_name[i]);
    fprintf(f, "sensitive instructions translated, by site:\n");
    for (unsigned i = 1; i < SENS_COUNT; i++)
        if (e->count.sites[i])
            fprintf(f, "%16llu  %s\n", (unsigned long long)e->count.sites[i], sensitive_name[i]);
}

static void destroy(struct engine *e)
{
    if (!e)
        return;
    if (log_on(e->v->log, LOG_SENSITIVE))
        print_sensitive(e, e->v->log->file);
    bt_signals_remove(e);
    // Who writes to memory from now on has nobody to tell.
    if (e->v->mmu->phys->opaque == e) {
        e->v->mmu->phys->code_write = NULL;
        e->v->mmu->phys->opaque = NULL;
    }
    if (e->v->mmu->opaque == e) {
        e->v->mmu->mapping_changed = NULL;
        e->v->mmu->opaque = NULL;
    }
    if (e->hints) {
        for (u32 i = 0; i < 1u << 20; i++)
            if (e->hints[i])
                free(e->hints[i]);
        munmap(e->hints, sizeof(*e->hints) << 20);
    }
    bt_hot_destroy(e);
    if (e->code_map) {
        e->v->mmu->phys->code_map = NULL;
        munmap(e->code_map, sizeof(*e->code_map) << 20);
    }
    if (e->code_page)
        munmap(e->code_page, sizeof(*e->code_page) << 20);
    if (e->stack)
        munmap(e->stack, 2 * HOST_STACK_SIZE);
    free(e->aspace);
    bt_cs_destroy(e);
    spaces_destroy(&e->spaces);
    blocks_destroy(&e->blocks);
    arena_destroy(&e->arena);
    free(e);
}

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static void emit_stubs(struct engine *e)
{
    u8 *room = arena_reserve(&e->arena, BT_STUBS_MAX);
    struct emit emit = { room, room, room + BT_STUBS_MAX, (u64)arena_rx(&e->arena, room) };

    bt_stubs_emit(&e->bt.stubs, &emit, &bt_engine_callouts, e->bt.opt.lahf);
    CHECK(!emit_overflowed(&emit));
    arena_commit(&e->arena, emit.p - emit.start);
    e->arena.floor = e->arena.used;
}

static struct engine *create(struct vcpu *v, const char *options, struct err *err)
{
    struct engine *e = calloc(1, sizeof(*e));
    struct bt_frame *f = bt_frame(v);

    if (!e) {
        err_set(err, EXIT_HOST, "out of memory for the translator");
        return NULL;
    }
    e->v = v;
    memset(f, 0, sizeof(*f));
    f->owner = e;
    e->bt.isa = v->model->isa;
    e->bt.mxcsr = fpu_mxcsr_mask(v) == fpu_host_mxcsr_mask();
    e->bt.spaces = &e->spaces;
    if (!parse_options(&e->bt.opt, options, err) || !arena_init(&e->arena, e->bt.opt.cache_size, err) ||
        !blocks_init(&e->blocks, err) || !bt_cs_init(e, err) || !bt_signals_install(e, err))
        goto fail;
    if (log_on(v->log, LOG_SENSITIVE))
        e->bt.opt.sensitive = false; // each of them is to be seen and counted
    emit_stubs(e);
    profile_code(v->profile, (u32)(u64)e->arena.rx, e->arena.rx, e->arena.used, 0, "ring3:stubs");
    if (!bt_hot_create(e, err))
        goto fail;
    if (!spaces_init(&e->spaces, e->bt.stubs.lookup, e->bt.stubs.slot, err))
        goto fail;
    e->hints = map(sizeof(*e->hints) << 20);
    e->code_map = map(sizeof(*e->code_map) << 20);
    e->code_page = map(sizeof(*e->code_page) << 20);
    e->stack = map(2 * HOST_STACK_SIZE);
    if (!e->hints || !e->code_map || !e->code_page || !e->stack ||
        mprotect(e->stack, HOST_STACK_GUARD, PROT_NONE) < 0 ||
        mprotect(e->stack + HOST_STACK_SIZE, HOST_STACK_GUARD, PROT_NONE) < 0) {
        err_set(err, EXIT_HOST, "out of memory for the translator: %s", strerror(errno));
        goto fail;
    }
    for (int i = 0; i < 2; i++) {
        e->stack_top[i] = (u64)e->stack + (i + 1) * HOST_STACK_SIZE - 64;
        *(u64 *)e->stack_top[i] = e->bt.stubs.sentinel;
        e->host_stack[i].sp = e->stack_top[i];
    }
    bt_reset_stack(e);
    if (e->bt.opt.direct && !windows_init(v->mmu, v, NULL, err))
        goto fail;
    v->fpu_sync = bt_fpu_sync;
    v->fpu_live = false;
    v->mmu->phys->code_write = bt_code_write;
    v->mmu->phys->code_map = e->code_map;
    v->mmu->phys->opaque = e;
    v->mmu->mapping_changed = bt_mapping_changed;
    v->mmu->opaque = e;
    return e;
fail:
    destroy(e);
    return NULL;
}

static enum cpu_exit run(struct engine *e)
{
    u64 (*enter)(struct vcpu *, u64) = (void *)(u64)e->bt.stubs.enter;
    u64 host;

    e->v->phase = PHASE_DISPATCH;
    bt_signal_thread(e);
    host = bt_dispatch(e);
    if (host != e->bt.stubs.leave)
        enter(e->v, host);
    cpu_fpu_acquire(e->v); // the run loop may compute in floating point, and must not do so in the guest's MXCSR
    bt_signal_thread(NULL);
    return e->exit;
}

static void stats(struct engine *e, FILE *f)
{
    fprintf(f, "engine: bt\n");
#define X(id, help) fprintf(f, "%16llu  %s\n", (unsigned long long)e->count.id, help);
    BT_COUNTER_LIST(X)
#undef X
    fprintf(f, "%16u  bytes of code cache used, of %u\n", e->arena.used + blocks_bytes(&e->blocks), e->arena.size);
    fprintf(f, "%16u  of them for tables of %u blocks\n", blocks_bytes(&e->blocks), e->blocks.count);
    windows_print_stats(e->v->mmu, f);
    print_sensitive(e, f);
}

static void help_options(FILE *f)
{
#define X(id, def, help) fprintf(f, "%-14s %s (%s)\n", #id "=on|off", help, def ? "on" : "off");
    BT_OPTION_LIST(X)
#undef X
    fprintf(f, "%-14s size of the code cache and its tables, 256K to 1024M (44M)\n", "cache=SIZE");
    fprintf(f, "%-14s instructions in a block, 1 to %d (48)\n", "block=N", BT_MAX_INSNS);
    fprintf(f, "%-14s empty the cache every N exits, for tests; 0: never (0)\n", "flush=N");
}

const struct engine_ops engine_bt = {
    .help_options = help_options,
    .name = "bt",
    .help = "translate guest code to host code (the default)",
    .create = create,
    .destroy = destroy,
    .run = run,
    .kick = bt_kick,
    .stats = stats,
    .locate = bt_locate,
    .print_hot = bt_print_hot,
};

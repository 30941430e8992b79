// SPDX-License-Identifier: GPL-2.0-or-later
// Where samples fell, and which blocks were executed most often.
#include "engine_bt.h"

#include "shadow-mmu/phys.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define HOT_BLOCKS (1u << 20) // what is translated beyond is not counted
#define HOT_SIZE (HOT_BLOCKS * sizeof(u32))

bool bt_hot_create(struct engine *e, struct err *err)
{
    if (!profile_hot(e->v->profile))
        return true;
    // Its address is a sign-extended displacement in the emitted code.
    e->hot = mmap(NULL, HOT_SIZE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_32BIT,
                  -1, 0);
    e->bt.opt.loops = false; // a loop inside a block would count once
    if (e->hot != MAP_FAILED)
        return true;
    e->hot = NULL;
    return err_set(err, EXIT_HOST, "-hot: no memory below 2 GiB for the counters");
}

void bt_hot_destroy(struct engine *e)
{
    if (e->hot)
        munmap(e->hot, HOT_SIZE);
}

u32 bt_hot_counter(const struct engine *e)
{
    u32 next = e->blocks.count + 1;

    return e->hot && next < HOT_BLOCKS ? (u32)(u64)(e->hot + next) : 0;
}

void bt_hot_forget(struct engine *e)
{
    if (e->hot)
        memset(e->hot, 0, MIN(e->blocks.count + 1, HOT_BLOCKS) * sizeof(u32));
}

struct hot_block {
    u32 number;
    u64 insns; // executions, times instructions
};

static int hotter(const void *a, const void *b)
{
    const struct hot_block *x = a, *y = b;

    return (x->insns < y->insns) - (x->insns > y->insns);
}

static void print_block(struct engine *e, const struct block *b, u32 executions, double share,
                        FILE *f)
{
    u32 offset = 0, eip = bt_block_linear(e, e->space, b);
    const char *name = profile_symbol(e->v->profile, eip, &offset);
    const u8 *guest = phys_host(e->v->mmu->phys,
                                (gpa_t)b->gpa_page << PAGE_SHIFT | (b->eip & (PAGE_SIZE - 1)));

    fprintf(f, "\n%u executions, %.1f%% of all instructions: %08x", executions, share, eip);
    if (name)
        fprintf(f, " %s+0x%x", name, offset);
    fprintf(f, "%s, %u instructions, %u bytes, %u of host code\n",
            b->mode & MODE_USER ? ", CPL 3" : "", b->insn_count,
            b->guest_len, b->host_len);
    if (!b->valid)
        fprintf(f, "  (invalidated since)\n");
    else if (guest && !b->gpa_page2)
        bt_trace_block(e, f, b, block_insns(&e->blocks, b), guest, arena_rw(&e->arena,
                                                                                (u8 *)(u64)b->host));
}

void bt_print_hot(struct engine *e, unsigned n, FILE *f)
{
    u32 count = MIN(e->blocks.count, HOT_BLOCKS - 1);
    struct hot_block *hot;
    double all = 0;

    if (!e->hot)
        return;
    hot = calloc(count + 1, sizeof(*hot));
    if (!hot)
        err_no_memory("the list of hot blocks");
    for (u32 i = 1; i <= count; i++) {
        hot[i - 1] = (struct hot_block){ i, (u64)e->hot[i] * e->blocks.block[i].insn_count };
        all += (double)hot[i - 1].insns;
    }
    qsort(hot, count, sizeof(*hot), hotter);
    fprintf(f,
            "hot blocks, of %u in the cache, which was emptied %llu times; a block that is left early counts in full\n",
            count, (unsigned long long)e->count.flushes);
    for (u32 i = 0; i < MIN(n, count) && hot[i].insns; i++)
        print_block(e, &e->blocks.block[hot[i].number], e->hot[hot[i].number],
                    100 * (double)hot[i].insns / all, f);
    free(hot);
}

void bt_locate(struct engine *e, const void *context, struct profile_place *place)
{
    const greg_t *reg = ((const ucontext_t *)context)->uc_mcontext.gregs;
    u64 rip = (u64)reg[REG_RIP];
    const struct block *b;

    place->kind = e->emulating;
    if (!arena_has(&e->arena, rip))
        return;
    if (rip == e->bt.stubs.signal) // the tick that this sample comes with has just diverted it
        rip = bt_frame(e->v)->fault_pc;
    place->phase = PHASE_STUBS;
    b = rip >= e->bt.stubs.end ? block_at_host(&e->blocks, rip) : NULL;
    if (b) {
        place->phase = PHASE_GUEST;
        place->eip = bt_block_linear(e, e->space, b) + block_insn_at_host(&e->blocks, b, rip)->guest;
        place->ebp = (u32)reg[REG_RBP];
    }
}

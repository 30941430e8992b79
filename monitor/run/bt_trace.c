// SPDX-License-Identifier: GPL-2.0-or-later
// Blocks for people to read: each guest instruction, and below it the host code that does it.
#include "engine_bt.h"

#include <stdarg.h>
#include <string.h>

struct listing {
    FILE *f;
    const struct engine *e;
    const struct block *b;
    const struct block_insn *insn;
    const u8 *guest;
    u32 eip;          // of the block
    u32 next;         // the instruction to be announced next
};

static void announce(void *arg, u64 address)
{
    struct listing *l = arg;
    u32 at = address - l->b->host;

    if (l->next < l->b->insn_count && at >= l->insn[l->next].host) {
        const struct block_insn *i = &l->insn[l->next++];
        u32 end = l->next < l->b->insn_count ? i[1].guest : l->b->guest_len;

        fprintf(l->f, "\n");
        insn_print(l->f, l->guest + i->guest, end - i->guest, l->eip + i->guest,
                   l->b->mode & MODE_CODE16 ? 16 : 32);
    }
}

__attribute__((format(printf, 2, 3))) static void note(struct listing *l, const char *fmt, ...)
{
    va_list args;

    fprintf(l->f, "%12s; ", "");
    va_start(args, fmt);
    vfprintf(l->f, fmt, args);
    va_end(args);
    fputc('\n', l->f);
}

// Names the stub that a call goes to; the data behind it is not code.
static size_t skip_data(void *arg, u64 address, const u8 *bytes, size_t size)
{
    struct listing *l = arg;
    const struct bt_stubs *stubs = &l->e->bt.stubs;
    const u8 *data = bytes + size;
    struct bt_link link;
    struct bt_site site;
    i32 offset;
    u64 target;

    if (size != 5 || (bytes[0] != 0xe8 && bytes[0] != 0xe9))
        return 0;
    memcpy(&offset, bytes + 1, 4);
    target = address + 5 + offset;
    if (target == stubs->lookup || target == stubs->probe || target == stubs->jump) {
        note(l, "to guest r8d");
    } else if (target == stubs->link) {
        memcpy(&link, data, sizeof(link));
        note(l, "to guest %08x, when linked", link.target);
        return sizeof(link);
    } else if (target == stubs->memory) {
        memcpy(&site, data, sizeof(site));
        note(l, "a TLB miss of %08x", site.eip);
        return sizeof(site);
    } else if (target == stubs->emulate) {
        memcpy(&site, data, sizeof(site));
        note(l, "emulate %08x", site.eip);
        return sizeof(site) + sizeof(struct insn);
    } else if (target == stubs->stale) {
        note(l, "killed: to its successor");
    } else if (target == stubs->changed) {
        note(l, "other code now");
        return l->b->guest_len;
    }
    return 0;
}

void bt_trace_block(const struct engine *e, FILE *f, const struct block *b,
                    const struct block_insn *insn, const u8 *guest, const u8 *host)
{
    struct listing l = { f, e, b, insn, guest, bt_block_linear(e, e->space, b), 0 };

    insn_print_with(f, host, b->host_len, b->host, 64,
                    &(struct insn_print_hooks){ announce, skip_data, &l });
}

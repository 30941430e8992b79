// SPDX-License-Identifier: GPL-2.0-or-later
// Fuzzes bt_translate. The input: mode, options (2 bytes), the longest block, hints (a mask and a
// period), where in its page the code stands (2), the rest of the mode, the code segment's number,
// where that starts (a shift) and ends; then guest code. The result is held against the same
// promises as in tests/unit/bt_translate.c.
#include "tests/unit/bt_checker.h"

#define HEAD 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rig rig; // making one costs more than a translation
    static struct bt_code code;
    u8 hints[PAGE_SIZE] = { 0 };
    struct bt_request rq = { .hints = hints };
    u32 offset;

    if (!rig.bt.spaces)
        rig_init(&rig);
    if (size < HEAD)
        return 0;
    rq.mode = (data[0] | data[8] << 8 | (data[11] & 2) << 15) & (BIT(MODE_BITS) - 1);
    rig_options(&rig, data[1] | (u32)data[2] << 8);
    rig.bt.opt.block_insns = 1 + data[3] % BT_MAX_INSNS;
    for (u32 i = 0; i < sizeof(hints) && data[4]; i += 1 + data[5] % 16)
        hints[i] = data[4] & (BIT(HINT_BITS) - 1);
    offset = (data[6] | data[7] << 8) & (PAGE_SIZE - 1);
    rq.avail = MIN(size - HEAD, PAGE_SIZE - offset);
    // As if the page ended where the input does.
    rq.eip = 0x08049000u - rq.avail;
    if (offset & 1 && rq.avail >= INSN_MAX) {
        rq.crossing = true;
        rq.avail = INSN_MAX;
        rq.eip = 0x08049000u - 1 - offset % (INSN_MAX - 1);
    }
    rq.bytes = data + HEAD;
    rq.cs = 1 + data[9];
    rq.base = rq.eip & ~0u << data[10] % 32;
    rq.limit = rq.eip - rq.base + rq.avail - 1 + (data[11] & 1 ? 0 : 0x1000u << data[11] % 16);
    rig_sane(&rq);
    if (!rig_translate(&rig, &rq, &code))
        abort();
    return 0;
}

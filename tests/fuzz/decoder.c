// SPDX-License-Identifier: GPL-2.0-or-later
// Fuzzes insn_decode. The input is the guest code; both code sizes are tried. The bytes are
// passed as they come, so that AddressSanitizer sees a read past them, and each result is held
// against insn.h's contract.
#include "decoder/insn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLDS(cond)                                                                          \
    do {                                                                                     \
        if (!(cond)) {                                                                       \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #cond);         \
            abort();                                                                         \
        }                                                                                    \
    } while (0)

static void check_fields(const struct insn *insn)
{
    bool undefined = insn->attr & INSN_UD;

    HOLDS(insn->len >= 1 && insn->len <= INSN_MAX && insn->pfx_len < insn->len);
    HOLDS(insn->name && *insn->name);
    HOLDS(insn->op >> 8 < MAP_COUNT);
    HOLDS(insn->opsize == 2 || insn->opsize == 4);
    HOLDS(insn->addrsize == 2 || insn->addrsize == 4);
    HOLDS((insn->prefix & (PFX_REP | PFX_REPNE)) != (PFX_REP | PFX_REPNE));
    HOLDS(insn->seg < S_COUNT && insn->flow <= FLOW_FAR && insn->sensitive < SENS_COUNT);
    HOLDS(insn->isa < ISA_COUNT);
    HOLDS(insn->mod < 4 && insn->reg < 8 && insn->rm < 8 && insn->scale < 4);
    HOLDS(insn->base >= -1 && insn->base < 8 && insn->index >= -1 && insn->index < 8);
    HOLDS(insn->index != R_ESP);
    HOLDS(!(insn->flags_read & ~(FL_ARITH | FL_DF)) && !(insn->flags_written & ~FL_ARITH));
    HOLDS(insn->has_mem || (insn->mem == MEM_NONE && !insn->disp_len && insn->base == -1));
    HOLDS(!insn->has_mem || insn->mem != MEM_NONE || undefined);
    HOLDS(insn->mem == MEM_ADDRESS || insn->mem <= MEM_RMW);
    HOLDS(!(insn->attr & INSN_MODRM) || insn->has_mem == (insn->mod != 3));
    HOLDS(insn->has_mem || insn->mem_size == 0);
    HOLDS(!(insn->prefix & PFX_LOCK) || undefined ||
          (insn->attr & INSN_LOCKABLE && insn->mem == MEM_RMW));
    HOLDS(insn->flow != FLOW_FAR || insn->attr & INSN_STOP);
    HOLDS(!undefined || (insn->attr & INSN_STOP && !insn->mem && !insn->flow && !insn->sensitive &&
                         !insn->flags_written));
    HOLDS(!insn->imm_len || insn->imm_len == 1 || insn->imm_len == 2 || insn->imm_len == 4);
    HOLDS(insn->pfx_len + 1 + insn->disp_len + insn->imm_len + !!(insn->attr & INSN_MODRM) <=
          insn->len);
}

static void check_size(const u8 *data, unsigned avail, bool code32)
{
    struct insn insn, again;
    enum insn_status status = insn_decode(&insn, data, avail, code32);

    if (status == INSN_TRUNCATED) {
        HOLDS(avail < INSN_MAX);
        return;
    }
    if (status == INSN_TOO_LONG) {
        HOLDS(avail >= INSN_MAX);
        return;
    }
    HOLDS(status == INSN_OK);
    HOLDS(insn.len <= avail);
    check_fields(&insn);
    // What follows does not matter, and what belongs to it does.
    HOLDS(insn_decode(&again, data, insn.len, code32) == INSN_OK);
    HOLDS(again.op == insn.op && again.len == insn.len && again.imm == insn.imm &&
          again.disp == insn.disp && again.attr == insn.attr);
    HOLDS(insn_decode(&again, data, insn.len - 1, code32) == INSN_TRUNCATED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // A walk over the input from every place, as guest code may be entered anywhere.
    for (size_t i = 0; i < size && i < 64; i++) {
        check_size(data + i, size - i, false);
        check_size(data + i, size - i, true);
    }
    return 0;
}

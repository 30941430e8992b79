// SPDX-License-Identifier: GPL-2.0-or-later
// Disassembly for traces, by Capstone.
#include "insn.h"

#include <capstone/capstone.h>
#include <inttypes.h>

static void print_line(FILE *f, u64 address, const u8 *bytes, size_t len, const char *mnemonic,
                       const char *operands)
{
    char hex[3 * 16 + 1] = "";

    for (size_t i = 0; i < len && i < 16; i++)
        sprintf(hex + 3 * i, "%02x ", bytes[i]);
    fprintf(f, "  %08" PRIx64 "  %-30s %s%s%s\n", address, hex, mnemonic, *operands ? " " : "",
            operands);
}

void insn_print_with(FILE *f, const u8 *bytes, size_t len, u64 address, int bits,
                     const struct insn_print_hooks *hooks)
{
    cs_mode mode = bits == 16 ? CS_MODE_16 : bits == 32 ? CS_MODE_32 : CS_MODE_64;
    csh cs;
    cs_insn *insn;

    if (cs_open(CS_ARCH_X86, mode, &cs) != CS_ERR_OK) {
        fprintf(f, "  (capstone cannot be opened)\n");
        return;
    }
    insn = cs_malloc(cs);
    for (size_t at = 0, size; at < len; at += size) {
        const u8 *rest = bytes + at;
        size_t left = len - at;
        u64 next = address + at;

        if (hooks->before)
            hooks->before(hooks->arg, address + at);
        if (insn && cs_disasm_iter(cs, &rest, &left, &next, insn)) {
            size = insn->size;
            print_line(f, address + at, bytes + at, size, insn->mnemonic, insn->op_str);
        } else {
            size = 1;
            print_line(f, address + at, bytes + at, size, "(bad)", "");
        }
        if (hooks->behind)
            size += hooks->behind(hooks->arg, address + at, bytes + at, size);
    }
    if (insn)
        cs_free(insn, 1);
    cs_close(&cs);
}

void insn_print(FILE *f, const u8 *bytes, size_t len, u64 address, int bits)
{
    insn_print_with(f, bytes, len, address, bits, &(struct insn_print_hooks){ 0 });
}

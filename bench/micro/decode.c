// SPDX-License-Identifier: GPL-2.0-or-later
// How long insn_decode takes, against Zydis: nanoseconds per instruction, over real 32-bit code.
//   cc -O2 -I. bench/micro/decode.c decoder/*.c -lZydis -lcapstone -o bench_decode
//   ./bench_decode [FILE [OFFSET [LENGTH]]]
// FILE holds code (an i386 vmlinux or program: give .text's offset and length, readelf -S);
// without it, a stretch of common instructions built in. Both decoders walk the same bytes; the
// best of five passes counts.
#include "decoder/insn.h"

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// What compilers emit most, in about the proportions of a kernel's text.
static const u8 common[] = {
    0x55,                                           // push ebp
    0x89, 0xe5,                                     // mov ebp, esp
    0x57, 0x56, 0x53,                               // push edi, esi, ebx
    0x83, 0xec, 0x14,                               // sub esp, 20
    0x8b, 0x45, 0x08,                               // mov eax, [ebp+8]
    0x8b, 0x5d, 0x0c,                               // mov ebx, [ebp+12]
    0x8b, 0x04, 0x9d, 0x00, 0x10, 0x40, 0xc0,       // mov eax, [ebx*4+table]
    0x85, 0xc0,                                     // test eax, eax
    0x74, 0x10,                                     // je
    0x0f, 0xb6, 0x50, 0x01,                         // movzx edx, byte [eax+1]
    0x8d, 0x74, 0x26, 0x00,                         // lea esi, [esi+0]
    0xc7, 0x45, 0xf0, 0x00, 0x00, 0x00, 0x00,       // mov dword [ebp-16], 0
    0x64, 0xa1, 0x14, 0x00, 0x00, 0x00,             // mov eax, fs:[14h]
    0x3b, 0x44, 0x24, 0x10,                         // cmp eax, [esp+16]
    0x0f, 0x84, 0x20, 0x01, 0x00, 0x00,             // je near
    0xc1, 0xe8, 0x0c,                               // shr eax, 12
    0x66, 0x89, 0x43, 0x02,                         // mov [ebx+2], ax
    0xf0, 0x0f, 0xb1, 0x0d, 0x34, 0x12, 0x00, 0xc0, // lock cmpxchg [x], ecx
    0xe8, 0x10, 0x20, 0x00, 0x00,                   // call
    0xb8, 0x01, 0x00, 0x00, 0x00,                   // mov eax, 1
    0x31, 0xc0,                                     // xor eax, eax
    0x5b, 0x5e, 0x5f, 0x5d, 0xc3,                   // pop ebx, esi, edi, ebp; ret
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static size_t walk_ours(const u8 *code, size_t size, u64 *sum)
{
    struct insn insn;
    size_t count = 0;

    for (size_t i = 0; i < size; count++) {
        size_t left = size - i;

        if (insn_decode(&insn, code + i, left < INSN_MAX ? (unsigned)left : INSN_MAX,
                        true) != INSN_OK)
            break;
        *sum += insn.op + insn.flags_written;
        i += insn.len;
    }
    return count;
}

static size_t walk_zydis(const ZydisDecoder *decoder, const u8 *code, size_t size, u64 *sum)
{
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
    size_t count = 0;

    for (size_t i = 0; i < size; count++) {
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, code + i, size - i, &insn, operand)))
            insn.length = 1;
        *sum += insn.length;
        i += insn.length;
    }
    return count;
}

static u8 *load(const char *path, long offset, size_t *size)
{
    FILE *f = fopen(path, "rb");
    u8 *code;

    if (!f || fseek(f, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    if (!*size)
        *size = (size_t)(ftell(f) - offset);
    code = malloc(*size);
    if (!code || fseek(f, offset, SEEK_SET) != 0 || fread(code, 1, *size, f) != *size) {
        fprintf(stderr, "%s: cannot read %zu bytes at %ld\n", path, *size, offset);
        exit(1);
    }
    fclose(f);
    return code;
}

int main(int argc, char **argv)
{
    size_t size = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
    ZydisDecoder decoder;
    double best[2] = { 1e30, 1e30 };
    u64 sum = 0;
    u8 *code;

    if (argc > 1) {
        code = load(argv[1], argc > 2 ? strtol(argv[2], NULL, 0) : 0, &size);
    } else {
        size_t times = (4 << 20) / sizeof(common);

        size = times * sizeof(common);
        code = malloc(size);
        if (!code)
            return 1;
        for (size_t i = 0; i < times; i++)
            memcpy(code + i * sizeof(common), common, sizeof(common));
    }
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    for (unsigned pass = 0; pass < 10; pass++) {
        double start = now(), each;
        size_t n = pass & 1 ? walk_zydis(&decoder, code, size, &sum) : walk_ours(code, size, &sum);

        each = (now() - start) / (double)n;
        if (each < best[pass & 1])
            best[pass & 1] = each;
        if (pass < 2)
            printf("%s: %zu instructions in %zu bytes\n", pass ? "zydis" : "ring3", n, size);
    }
    printf("ring3: %.1f ns an instruction; zydis full: %.1f (checksum %llx)\n", best[0], best[1],
           (unsigned long long)sum);
    free(code);
    return 0;
}

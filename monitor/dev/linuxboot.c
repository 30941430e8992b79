// SPDX-License-Identifier: GPL-2.0-or-later
#include "linuxboot.h"

#include <string.h>

#define ROM_MAX 1024
#define ROM_FILE "genroms/linuxboot.bin"
#define BOOT_ORDER "/rom@" ROM_FILE "\n"

#define SETUP_AT 0x10000u   // linuxboot_rom.S jumps there
#define CMDLINE_AT 0x20000u
#define KERNEL_AT 0x100000u

// Keys that QEMU gives the pieces.
enum { KEY_KERNEL = 0x11, KEY_INITRD = 0x12, KEY_CMDLINE = 0x15, KEY_SETUP = 0x18 };
#define READ_SELECTED 0x0a // DMA: select, read

extern const u8 linuxboot_rom[], linuxboot_rom_end[], linuxboot_rom_commands[], linuxboot_rom_pnp[];

// One of the ROM's DMA commands: an item goes to an address.
static u8 *command(u8 *at, u16 key, u32 len, u32 to)
{
    const u32 words[4] = { (u32)key << 16 | READ_SELECTED, len, 0, to };

    for (unsigned i = 0; i < 4; i++) {
        u32 big = __builtin_bswap32(words[i]);

        memcpy(at + 4 * i, &big, 4);
    }
    return at + 16;
}

static void checksum(u8 *bytes, size_t len, size_t where)
{
    u8 sum = 0;

    bytes[where] = 0;
    for (size_t i = 0; i < len; i++)
        sum += bytes[i];
    bytes[where] = -sum;
}

bool linuxboot_describe(struct fw_cfg *fw, const struct board_kernel *k)
{
    size_t len = (size_t)(linuxboot_rom_end - linuxboot_rom), pnp = (size_t)(linuxboot_rom_pnp - linuxboot_rom);
    u8 rom[ROM_MAX] = { 0 }, *at = rom + (linuxboot_rom_commands - linuxboot_rom);

    CHECK(len < ROM_MAX);
    memcpy(rom, linuxboot_rom, len);
    at = command(at, KEY_SETUP, k->setup_len, SETUP_AT);
    at = command(at, KEY_CMDLINE, (u32)strlen(k->cmdline) + 1, CMDLINE_AT);
    at = command(at, KEY_KERNEL, k->kernel_len, KERNEL_AT);
    command(at, KEY_INITRD, k->initrd_len, k->initrd_at);
    checksum(rom + pnp, 32, 9);
    checksum(rom, ROM_MAX, ROM_MAX - 1);
    return fw_cfg_set(fw, KEY_SETUP, k->setup, k->setup_len)
           && fw_cfg_set(fw, KEY_CMDLINE, k->cmdline, (u32)strlen(k->cmdline) + 1)
           && fw_cfg_set(fw, KEY_KERNEL, k->kernel, k->kernel_len)
           && fw_cfg_set(fw, KEY_INITRD, k->initrd, k->initrd_len)
           && fw_cfg_file(fw, ROM_FILE, rom, ROM_MAX)
           && fw_cfg_file(fw, "bootorder", BOOT_ORDER, sizeof(BOOT_ORDER));
}

// SPDX-License-Identifier: GPL-2.0-or-later
// The table loader's commands are QEMU's (include/hw/acpi/bios-linker-loader.h); firmware runs them
// to put the ACPI tables where it has room.
#include "firmware.h"

#include "smbios.h"

#include <string.h>

#define RSDP_FILE "etc/acpi/rsdp"
#define TABLES_FILE "etc/acpi/tables"
#define RSDP_LEN 20
#define TABLE_HEADER 36

enum { LOADER_ALLOCATE = 1, LOADER_ADD_POINTER = 2, LOADER_ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };
#define LOADER_ENTRY 128
#define LOADER_ENTRIES 64

struct loader {
    u8 script[LOADER_ENTRY * LOADER_ENTRIES];
    u32 len;
    const u8 *blob; // what acpi_build made
    u32 blob_len;
};

static void put32(u8 *to, u32 value)
{
    memcpy(to, &value, 4);
}

static u32 get32(const struct loader *l, u32 at)
{
    u32 value = 0;

    if (at <= l->blob_len - 4)
        memcpy(&value, l->blob + at, 4);
    return value;
}

static u8 *command(struct loader *l, u32 code, const char *file)
{
    u8 *entry = l->script + l->len;

    CHECK(l->len + LOADER_ENTRY <= sizeof(l->script));
    l->len += LOADER_ENTRY;
    put32(entry, code);
    strcpy((char *)entry + 4, file);
    return entry;
}

static void allocate(struct loader *l, const char *file, u32 align, u8 zone)
{
    u8 *entry = command(l, LOADER_ALLOCATE, file);

    put32(entry + 60, align);
    entry[64] = zone;
}

// The pointer at `at` of file holds an offset into the tables; their address is added to it.
static void add_pointer(struct loader *l, const char *file, u32 at, u8 size)
{
    u8 *entry = command(l, LOADER_ADD_POINTER, file);

    strcpy((char *)entry + 60, TABLES_FILE);
    put32(entry + 116, at);
    entry[120] = size;
}

static void add_checksum(struct loader *l, const char *file, u32 where, u32 start, u32 len)
{
    u8 *entry = command(l, LOADER_ADD_CHECKSUM, file);

    put32(entry + 60, where);
    put32(entry + 64, start);
    put32(entry + 68, len);
}

// A table with the usual header: its checksum is made after its pointers are right.
static void close_table(struct loader *l, u32 at)
{
    add_checksum(l, TABLES_FILE, at + 9, at, get32(l, at + 4));
}

static void fadt(struct loader *l, u32 at)
{
    static const struct { u16 at; u8 size; } pointers[] = { { 36, 4 }, { 40, 4 }, { 132, 8 }, { 140, 8 } };
    u32 len = get32(l, at + 4);

    for (unsigned i = 0; i < ARRAY_LEN(pointers); i++)
        if (pointers[i].at + pointers[i].size <= len && get32(l, at + pointers[i].at))
            add_pointer(l, TABLES_FILE, at + pointers[i].at, pointers[i].size);
    close_table(l, at);
}

// The script follows the tables' own pointers, which count from the blob's start.
static void acpi_script(struct loader *l)
{
    u32 rsdt = get32(l, 16), rsdt_len = get32(l, rsdt + 4);

    allocate(l, TABLES_FILE, 64, ZONE_HIGH);
    allocate(l, RSDP_FILE, 16, ZONE_FSEG);
    for (u32 at = rsdt + TABLE_HEADER; at + 4 <= rsdt + rsdt_len; at += 4) {
        u32 table = get32(l, at);

        add_pointer(l, TABLES_FILE, at, 4);
        if (table + 4 <= l->blob_len && memcmp(l->blob + table, "FACP", 4) == 0)
            fadt(l, table);
    }
    close_table(l, rsdt);
    add_pointer(l, RSDP_FILE, 16, 4);
    add_checksum(l, RSDP_FILE, 8, 0, RSDP_LEN);
}

static bool describe_acpi(struct fw_cfg *fw, const struct firmware_config *config)
{
    struct loader l = { .blob = config->acpi, .blob_len = config->acpi_len };

    acpi_script(&l);
    return fw_cfg_file(fw, TABLES_FILE, l.blob, l.blob_len)
           && fw_cfg_file(fw, RSDP_FILE, l.blob, RSDP_LEN)
           && fw_cfg_file(fw, "etc/table-loader", l.script, l.len);
}

static bool describe_smbios(struct fw_cfg *fw, u64 ram_size)
{
    u8 anchor[SMBIOS_ANCHOR_LEN], tables[SMBIOS_MAX];
    size_t len = smbios_build(ram_size, anchor, tables);

    return fw_cfg_file(fw, "etc/smbios/smbios-anchor", anchor, sizeof(anchor))
           && fw_cfg_file(fw, "etc/smbios/smbios-tables", tables, len);
}

bool firmware_describe(struct fw_cfg *fw, const struct firmware_config *config)
{
    // Address, length, type (1: RAM) of each range; what lies below 1 MiB firmware knows best.
    const struct __attribute__((packed)) { u64 base, len; u32 type; } e820 = { 0, config->ram_size, 1 };
    static const u8 no_uuid[16];

    return fw_cfg_set_number(fw, FW_CFG_RAM_SIZE, config->ram_size, 8)
           && fw_cfg_set(fw, FW_CFG_UUID, no_uuid, sizeof(no_uuid))
           && fw_cfg_set_number(fw, FW_CFG_NO_GRAPHIC, 0, 2)
           && fw_cfg_set_number(fw, FW_CFG_CPUS, 1, 2)
           && fw_cfg_set_number(fw, FW_CFG_MAX_CPUS, 1, 2)
           && fw_cfg_set_number(fw, FW_CFG_BOOT_MENU, config->boot_menu, 2)
           && (!config->menu_wait_ms
               || fw_cfg_file_number(fw, "etc/boot-menu-wait", config->menu_wait_ms, 2))
           && fw_cfg_file(fw, "etc/e820", &e820, sizeof(e820))
           && (!config->acpi || describe_acpi(fw, config))
           && describe_smbios(fw, config->ram_size);
}

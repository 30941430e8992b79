// SPDX-License-Identifier: GPL-2.0-or-later
// As in QEMU's specification "QEMU Firmware Configuration (fw_cfg) Device". No item can be written.
#include "fw_cfg.h"

#include <stdlib.h>
#include <string.h>

#define ID_PORTS BIT(0)
#define ID_DMA BIT(1)

// The DMA control word; the key to select is in its upper half.
#define DMA_ERROR BIT(0)
#define DMA_READ BIT(1)
#define DMA_SKIP BIT(2)
#define DMA_SELECT BIT(3)
#define DMA_WRITE BIT(4)
#define DMA_BEYOND (1u << 20)
#define DMA_SIGNATURE 0x51454d5520434647ull // "QEMU CFG"

static void put_be(u8 *to, u64 value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        to[i] = value >> (8 * (size - 1 - i));
}

static u64 get_be(const u8 *from, unsigned size)
{
    u64 value = 0;

    for (unsigned i = 0; i < size; i++)
        value = value << 8 | from[i];
    return value;
}

// ---- Items

static struct fw_cfg_item *find(struct fw_cfg *fw, u16 key)
{
    for (unsigned i = 0; i < fw->count; i++)
        if (fw->item[i].key == key)
            return &fw->item[i];
    return NULL;
}

static struct fw_cfg_item *find_file(struct fw_cfg *fw, const char *name)
{
    for (unsigned i = 0; i < fw->count; i++)
        if (fw->item[i].name[0] && strcmp(fw->item[i].name, name) == 0)
            return &fw->item[i];
    return NULL;
}

bool fw_cfg_set(struct fw_cfg *fw, u16 key, const void *data, u32 len)
{
    struct fw_cfg_item *item = find(fw, key);
    u8 *copy = malloc(len ? len : 1);

    if (!copy || (!item && fw->count == FW_CFG_ITEMS)) {
        free(copy);
        return false;
    }
    if (!item) {
        item = &fw->item[fw->count++];
        *item = (struct fw_cfg_item){ .key = key };
    }
    if (len)
        memcpy(copy, data, len);
    free(item->data);
    item->data = copy;
    item->len = len;
    return true;
}

bool fw_cfg_set_number(struct fw_cfg *fw, u16 key, u64 value, unsigned size)
{
    return fw_cfg_set(fw, key, &value, size); // little-endian, as this host is
}

// The directory: their number, then size, key and name of each, numbers big-endian.
static bool list_files(struct fw_cfg *fw)
{
    u8 dir[4 + 64 * FW_CFG_ITEMS] = { 0 };
    unsigned n = 0;

    for (unsigned i = 0; i < fw->count; i++) {
        const struct fw_cfg_item *item = &fw->item[i];
        u8 *entry = dir + 4 + 64 * n;

        if (!item->name[0])
            continue;
        put_be(entry, item->len, 4);
        put_be(entry + 4, item->key, 2);
        memcpy(entry + 8, item->name, FW_CFG_NAME);
        n++;
    }
    put_be(dir, n, 4);
    return fw_cfg_set(fw, FW_CFG_DIRECTORY, dir, 4 + 64 * n);
}

bool fw_cfg_file(struct fw_cfg *fw, const char *name, const void *data, u32 len)
{
    struct fw_cfg_item *item = find_file(fw, name);
    u16 key = FW_CFG_FIRST_FILE;

    if (item) {
        key = item->key;
    } else {
        while (find(fw, key))
            key++;
    }
    if (strlen(name) >= FW_CFG_NAME || !fw_cfg_set(fw, key, data, len))
        return false;
    strcpy(find(fw, key)->name, name);
    return list_files(fw);
}

bool fw_cfg_file_number(struct fw_cfg *fw, const char *name, u64 value, unsigned size)
{
    return fw_cfg_file(fw, name, &value, size);
}

void fw_cfg_remove(struct fw_cfg *fw, const char *name)
{
    struct fw_cfg_item *item = find_file(fw, name);

    if (!item)
        return;
    free(item->data);
    *item = fw->item[--fw->count];
    list_files(fw);
}

// ---- Registers

static void select_item(struct fw_cfg *fw, u16 key)
{
    fw->selected = key;
    fw->offset = 0;
}

static u32 fw_cfg_left(struct fw_cfg *fw)
{
    const struct fw_cfg_item *item = find(fw, fw->selected);

    return item && fw->offset < item->len ? item->len - fw->offset : 0;
}

// Copies the next bytes of the selected item to buf, unless that is NULL; past its end there are zeroes.
static void take(struct fw_cfg *fw, u8 *buf, u32 len)
{
    const struct fw_cfg_item *item = find(fw, fw->selected);
    u32 left = item && fw->offset < item->len ? item->len - fw->offset : 0, n = MIN(len, left);

    if (buf) {
        if (n)
            memcpy(buf, item->data + fw->offset, n);
        memset(buf + n, 0, len - n);
    }
    fw->offset += n;
}

static u64 port_read(void *dev, u32 addr, unsigned size)
{
    u8 byte = 0xff;

    (void)size;
    // The selector cannot be read; a word there does not reach the data port.
    if (addr == 1)
        take(dev, &byte, 1);
    return addr == 1 ? byte : ~0ull >> (64 - 8 * size);
}

static void port_write(void *dev, u32 addr, u64 value, unsigned size)
{
    if (addr == 0 && size == 2)
        select_item(dev, value);
}

const struct bus_ops fw_cfg_ops = { port_read, port_write, 2 };

// A read of any length: the guest may ask for more than the item has, and gets zeroes.
static void dma_read(struct fw_cfg *fw, u64 to, u32 len)
{
    const struct board_host *host = fw->host;
    u8 buf[4096];

    while (len) {
        u32 n = MIN(len, sizeof(buf));

        take(fw, buf, n);
        host->dma_write(host->opaque, to, buf, n);
        to += n;
        len -= n;
    }
}

// Carries out the command at fw->dma: control, length, address, big-endian.
static void dma_run(struct fw_cfg *fw)
{
    const struct board_host *host = fw->host;
    u64 at = fw->dma;
    u8 command[16];
    u32 control, len, result = 0;

    fw->dma = 0;
    if (!host->dma_read || !host->dma_write)
        return;
    host->dma_read(host->opaque, at, command, sizeof(command));
    control = get_be(command, 4);
    len = get_be(command + 4, 4);
    if (control & DMA_SELECT)
        select_item(fw, control >> 16);
    // What is asked for beyond the item's end is zero, and no work worth an interruption.
    if (len > fw_cfg_left(fw) + DMA_BEYOND)
        len = fw_cfg_left(fw) + DMA_BEYOND;
    if (control & DMA_READ)
        dma_read(fw, get_be(command + 8, 8), len);
    else if (control & DMA_WRITE)
        result = DMA_ERROR;
    else if (control & DMA_SKIP)
        take(fw, NULL, len);
    put_be(command, result, 4);
    host->dma_write(host->opaque, at, command, 4);
}

static u64 dma_port_read(void *dev, u32 addr, unsigned size)
{
    u8 bytes[8];

    (void)dev;
    put_be(bytes, DMA_SIGNATURE, 8);
    // Lowest address first, as memory would hold them.
    if (addr + size > 8)
        return ~0ull >> (64 - 8 * size);
    return __builtin_bswap64(get_be(bytes + addr, size)) >> (64 - 8 * size);
}

static void dma_port_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct fw_cfg *fw = dev;

    if (size != 4)
        return;
    value = __builtin_bswap32((u32)value);
    if (addr == 0) {
        fw->dma = value << 32;
    } else if (addr == 4) {
        fw->dma |= value;
        dma_run(fw);
    }
}

const struct bus_ops fw_cfg_dma_ops = { dma_port_read, dma_port_write, 4 };

// ---- The device

void fw_cfg_init(struct fw_cfg *fw, const struct board_host *host)
{
    *fw = (struct fw_cfg){ .host = host };
    fw_cfg_set(fw, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_set_number(fw, FW_CFG_ID, ID_PORTS | ID_DMA, 4);
}

void fw_cfg_reset(struct fw_cfg *fw)
{
    select_item(fw, 0);
    fw->dma = 0;
}

void fw_cfg_destroy(struct fw_cfg *fw)
{
    for (unsigned i = 0; i < fw->count; i++)
        free(fw->item[i].data);
    fw->count = 0;
}

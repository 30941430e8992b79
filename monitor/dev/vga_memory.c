// SPDX-License-Identifier: GPL-2.0-or-later
// The way between the guest's window and the four planes.
#include "vga.h"

#include <string.h>

#define MEMORY_CHAIN4 BIT(3)
#define MEMORY_NO_ODD_EVEN BIT(2)
#define MODE_ODD_EVEN BIT(4)
#define MODE_READ1 BIT(3)

// The window that answers, by the graphics controller's memory map select.
static const struct { u32 base, len; } windows[4] = {
    { 0xa0000, 0x20000 }, { 0xa0000, 0x10000 }, { 0xb0000, 0x8000 }, { 0xb8000, 0x8000 },
};

static unsigned window(const struct vga *vga)
{
    return vga->gfx[GFX_MISC] >> 2 & 3;
}

// One bit a plane becomes one byte a plane.
static u32 spread(u8 planes)
{
    u32 mask = 0;

    for (unsigned p = 0; p < 4; p++)
        mask |= planes & BIT(p) ? 0xffu << (8 * p) : 0;
    return mask;
}

static u32 repeat(u8 byte)
{
    return byte * 0x01010101u;
}

// ---- The view

static u8 *view_memory(const struct vga *vga)
{
    return vga->memory + VGA_MEMORY;
}

static enum vga_view wanted_view(const struct vga *vga)
{
    u8 memory = vga->seq[SEQ_MEMORY], mode = vga->gfx[GFX_MODE], map = vga->seq[SEQ_MAP_MASK];

    if (!vga->host->memory_place || !(vga->misc & MISC_RAM))
        return VIEW_NONE;
    if (vga_linear_mode(vga))
        return window(vga) <= 1 ? VIEW_BANK : VIEW_NONE;
    // Bytes must arrive as they are.
    if (mode & (3 | MODE_READ1) || vga->gfx[GFX_ENABLE_SET_RESET] || vga->gfx[GFX_ROTATE]
        || vga->gfx[GFX_BIT_MASK] != 0xff)
        return VIEW_NONE;
    if (memory & MEMORY_CHAIN4)
        return map == 0xf && window(vga) == 1 ? VIEW_CHAIN4 : VIEW_NONE;
    if (!(memory & MEMORY_NO_ODD_EVEN) && mode & MODE_ODD_EVEN && map == 3
        && vga->gfx[GFX_READ_MAP] < 2 && window(vga) >= 2)
        return VIEW_TEXT;
    return VIEW_NONE;
}

// The byte of the cells that byte n of the view stands for.
static u32 cell_byte(enum vga_view kind, u32 n)
{
    return kind == VIEW_TEXT ? (n & ~1u) * 4 + (n & 1) : (n & ~3u) * 4 + (n & 3);
}

void vga_sync(struct vga *vga)
{
    const u8 *view = view_memory(vga);

    if (vga->view.kind == VIEW_TEXT)
        for (u32 n = 0; n < vga->view.len; n += 2)
            memcpy(vga->memory + cell_byte(VIEW_TEXT, n), view + n, 2);
    else if (vga->view.kind == VIEW_CHAIN4)
        for (u32 n = 0; n < vga->view.len; n += 4)
            memcpy(vga->memory + cell_byte(VIEW_CHAIN4, n), view + n, 4);
}

static void fill_view(struct vga *vga)
{
    u8 *view = view_memory(vga);

    if (vga->view.kind == VIEW_TEXT || vga->view.kind == VIEW_CHAIN4)
        for (u32 n = 0; n < vga->view.len; n += 2)
            memcpy(view + n, vga->memory + cell_byte(vga->view.kind, n), 2);
}

void vga_choose_view(struct vga *vga)
{
    enum vga_view kind = wanted_view(vga);
    u32 bank = kind == VIEW_BANK ? (u32)vga->vbe[VBE_BANK] << 16 & (VGA_MEMORY - 1) : VGA_MEMORY;
    u32 base = windows[window(vga)].base, len = MIN(windows[window(vga)].len, 0x10000u);

    if (kind == vga->view.kind
        && (kind == VIEW_NONE || (base == vga->view.base && bank == vga->view.bank)))
        return;
    vga_sync(vga);
    vga->view.kind = kind;
    vga->view.base = base;
    vga->view.len = kind == VIEW_NONE ? 0 : len;
    vga->view.bank = bank;
    fill_view(vga);
    if (vga->host->memory_place)
        vga->host->memory_place(vga->host->opaque, vga->view.base, vga->view.len, vga->handle, bank,
                                MEMORY_RAM);
}

// ---- Accesses that need the graphics controller

// The cell that offset `at` of the window means for planar accesses.
static u32 planar_cell(const struct vga *vga, u32 at)
{
    if (vga->vbe[VBE_ENABLE] & VBE_ENABLED)
        at += (u32)vga->vbe[VBE_BANK] << 16;
    else
        at &= VGA_CELLS - 1;
    return at & (VGA_MEMORY / 4 - 1);
}

static bool in_window(const struct vga *vga, u32 *at)
{
    u32 gpa = VGA_WINDOW + *at;

    if (!(vga->misc & MISC_RAM) || gpa - windows[window(vga)].base >= windows[window(vga)].len)
        return false;
    *at = gpa - windows[window(vga)].base;
    return true;
}

static u64 memory_read(void *dev, u32 addr, unsigned size)
{
    struct vga *vga = dev;
    u8 mode = vga->gfx[GFX_MODE], plane = vga->gfx[GFX_READ_MAP];

    (void)size;
    if (!in_window(vga, &addr))
        return 0xff;
    // Reached only while the view is not mapped for some reason, such as SMRAM being closed.
    if (vga_linear_mode(vga))
        return vga->memory[(((u32)vga->vbe[VBE_BANK] << 16) + addr) & (VGA_MEMORY - 1)];
    if (vga->seq[SEQ_MEMORY] & MEMORY_CHAIN4) {
        plane = addr & 3;
        addr &= ~3u;
    } else if (mode & MODE_ODD_EVEN) {
        plane = (plane & 2) | (addr & 1);
        addr &= ~1u;
    }
    vga->latch = vga_cells(vga)[planar_cell(vga, addr)];
    if (mode & MODE_READ1 && !(vga->seq[SEQ_MEMORY] & MEMORY_CHAIN4)) {
        u32 differ = (vga->latch ^ spread(vga->gfx[GFX_COMPARE])) & spread(vga->gfx[GFX_DONT_CARE]);

        differ |= differ >> 16;
        return (u8)~(differ | differ >> 8);
    }
    return vga->latch >> (8 * plane) & 0xff;
}

static u32 combine(const struct vga *vga, u32 value, u8 bit_mask)
{
    u32 mask = repeat(bit_mask), latch = vga->latch;

    switch (vga->gfx[GFX_ROTATE] >> 3 & 3) {
    case 1:
        value &= latch;
        break;
    case 2:
        value |= latch;
        break;
    case 3:
        value ^= latch;
        break;
    }
    return (value & mask) | (latch & ~mask);
}

// What the four planes get for a byte from the CPU.
static u32 planes_value(const struct vga *vga, u8 byte)
{
    u8 rotate = vga->gfx[GFX_ROTATE] & 7, bits = vga->gfx[GFX_BIT_MASK];
    u8 rotated = byte >> rotate | byte << (8 - rotate);
    u32 set = spread(vga->gfx[GFX_SET_RESET]), enabled = spread(vga->gfx[GFX_ENABLE_SET_RESET]);

    switch (vga->gfx[GFX_MODE] & 3) {
    case 0:
        return combine(vga, (repeat(rotated) & ~enabled) | (set & enabled), bits);
    case 1:
        return vga->latch;
    case 2:
        return combine(vga, spread(byte & 0xf), bits);
    default:
        return combine(vga, set, bits & rotated);
    }
}

static void memory_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct vga *vga = dev;
    u8 planes = vga->seq[SEQ_MAP_MASK];
    u32 mask, *cell;

    (void)size;
    if (!in_window(vga, &addr))
        return;
    if (vga_linear_mode(vga)) {
        vga->memory[(((u32)vga->vbe[VBE_BANK] << 16) + addr) & (VGA_MEMORY - 1)] = value;
        return;
    }
    if (vga->seq[SEQ_MEMORY] & MEMORY_CHAIN4) {
        planes &= BIT(addr & 3);
        addr &= ~3u;
    } else if (!(vga->seq[SEQ_MEMORY] & MEMORY_NO_ODD_EVEN)) {
        planes &= addr & 1 ? 0xa : 0x5;
        addr &= ~1u;
    }
    mask = spread(planes);
    cell = &vga_cells(vga)[planar_cell(vga, addr)];
    *cell = (*cell & ~mask) | (planes_value(vga, value) & mask);
}

const struct bus_ops vga_memory_ops = { memory_read, memory_write, 1 };

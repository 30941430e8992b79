// SPDX-License-Identifier: GPL-2.0-or-later
// Registers as in IBM's PS/2 Hardware Interface Technical Reference, Video Subsystem.
#include "vga.h"

#include <stdlib.h>
#include <string.h>

#define STATUS_RETRACE BIT(3)
#define STATUS_BLANK BIT(0)

// ---- The beam

static unsigned v_register(const struct vga *vga, unsigned index, unsigned bit8, unsigned bit9)
{
    u8 overflow = vga->crtc[CRTC_OVERFLOW];

    return vga->crtc[index] | (overflow >> bit8 & 1) << 8 | (overflow >> bit9 & 1) << 9;
}

// Input status 1 follows the time, so that programs that wait for the retrace get one.
static u8 beam(const struct vga *vga)
{
    unsigned dots = vga->seq[SEQ_CLOCKING] & 1 ? 8 : 9;
    u64 khz = (vga->misc >> 2 & 3) == 1 ? 28322 : 25175;
    u64 line_dots = (u64)(vga->crtc[CRTC_H_TOTAL] + 5) * dots << (vga->seq[SEQ_CLOCKING] >> 3 & 1);
    u64 lines = v_register(vga, CRTC_V_TOTAL, 0, 5) + 2;
    u64 line_ns = line_dots * 1000000 / khz, now = timers_now(vga->timers) % (line_ns * lines);
    u64 line = now / line_ns, dot = now % line_ns * line_dots / line_ns;
    unsigned start = v_register(vga, CRTC_RETRACE_START, 2, 7);
    unsigned len = (vga->crtc[CRTC_RETRACE_END] - start) & 0x0f;
    u8 status = 0;

    if (line >= start && line < start + MAX(len, 1u))
        status |= STATUS_RETRACE | STATUS_BLANK;
    if (line > v_register(vga, CRTC_V_DISPLAY, 1, 6)
        || dot >= (u64)(vga->crtc[CRTC_H_DISPLAY] + 1) * dots << (vga->seq[SEQ_CLOCKING] >> 3 & 1))
        status |= STATUS_BLANK;
    return status;
}

// ---- CRT controller and status: at 3Bx or 3Dx, as the miscellaneous output register says

static u8 crtc_read(struct vga *vga, u32 addr)
{
    switch (addr) {
    case 4:
        return vga->crtc_index;
    case 5:
        return vga->crtc_index < VGA_CRTC ? vga->crtc[vga->crtc_index] : 0;
    case 0xa:
        vga->attr_data = false;
        return beam(vga);
    default:
        return 0xff;
    }
}

static void crtc_write(struct vga *vga, u32 addr, u8 value)
{
    unsigned index = vga->crtc_index;

    if (addr == 4) {
        vga->crtc_index = value & 0x3f;
    } else if (addr == 5 && index < VGA_CRTC) {
        if (vga->crtc[CRTC_RETRACE_END] & 0x80 && index <= CRTC_OVERFLOW) { // protected
            if (index == CRTC_OVERFLOW)
                vga->crtc[index] = (vga->crtc[index] & ~0x10) | (value & 0x10);
            return;
        }
        vga->crtc[index] = value;
    } else if (addr == 0xa) {
        vga->feature = value;
    }
}

static u64 mono_read(void *dev, u32 addr, unsigned size)
{
    struct vga *vga = dev;

    (void)size;
    return vga->misc & MISC_COLOR ? 0xff : crtc_read(vga, addr);
}

static void mono_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct vga *vga = dev;

    (void)size;
    if (!(vga->misc & MISC_COLOR))
        crtc_write(vga, addr, value);
}

const struct bus_ops vga_mono_ops = { mono_read, mono_write, 1 };

static u64 color_read(void *dev, u32 addr, unsigned size)
{
    struct vga *vga = dev;

    (void)size;
    return vga->misc & MISC_COLOR ? crtc_read(vga, addr) : 0xff;
}

static void color_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct vga *vga = dev;

    (void)size;
    if (vga->misc & MISC_COLOR)
        crtc_write(vga, addr, value);
}

const struct bus_ops vga_color_ops = { color_read, color_write, 1 };

// ---- Attribute controller

static void attr_write(struct vga *vga, u8 value)
{
    static const u8 mask[VGA_ATTR] = { [0 ... 15] = 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f };
    unsigned index = vga->attr_index & 0x1f;

    if (!vga->attr_data)
        vga->attr_index = value & 0x3f;
    // While the palette drives the screen it cannot be written.
    else if (index < VGA_ATTR && !(index < 16 && vga->attr_index & 0x20))
        vga->attr[index] = value & mask[index];
    vga->attr_data = !vga->attr_data;
}

static u8 attr_read(const struct vga *vga)
{
    unsigned index = vga->attr_index & 0x1f;

    return index < VGA_ATTR ? vga->attr[index] : 0;
}

// ---- Colours

static void dac_write(struct vga *vga, u8 value)
{
    vga->dac_color[vga->dac_part++] = vga->vbe[VBE_ENABLE] & VBE_DAC8 ? value : value & 0x3f;
    if (vga->dac_part < 3)
        return;
    memcpy(vga->dac[vga->dac_write++], vga->dac_color, 3);
    vga->dac_part = 0;
}

static u8 dac_read(struct vga *vga)
{
    u8 value = vga->dac[vga->dac_read][vga->dac_part++];

    if (vga->dac_part == 3) {
        vga->dac_part = 0;
        vga->dac_read++;
    }
    return value;
}

// ---- 3C0h to 3CFh

static u64 vga_read(void *dev, u32 addr, unsigned size)
{
    struct vga *vga = dev;

    (void)size;
    switch (addr) {
    case 0x0:
        return vga->attr_index;
    case 0x1:
        return attr_read(vga);
    case 0x2:
        return 0x10; // a colour monitor answers the sense switch
    case 0x3:
        return vga->enable;
    case 0x4:
        return vga->seq_index;
    case 0x5:
        return vga->seq_index < VGA_SEQ ? vga->seq[vga->seq_index] : 0;
    case 0x6:
        return vga->dac_mask;
    case 0x7:
        return vga->dac_state;
    case 0x8:
        return vga->dac_write;
    case 0x9:
        return dac_read(vga);
    case 0xa:
        return vga->feature;
    case 0xc:
        return vga->misc;
    case 0xe:
        return vga->gfx_index;
    case 0xf:
        return vga->gfx_index < VGA_GFX ? vga->gfx[vga->gfx_index] : 0;
    default:
        return 0xff;
    }
}

static void vga_write(void *dev, u32 addr, u64 value, unsigned size)
{
    static const u8 seq_mask[VGA_SEQ] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
    static const u8 gfx_mask[VGA_GFX] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
    struct vga *vga = dev;

    (void)size;
    switch (addr) {
    case 0x0:
    case 0x1:
        attr_write(vga, value);
        break;
    case 0x2:
        vga->misc = value;
        vga_choose_view(vga);
        break;
    case 0x3:
        vga->enable = value & 1;
        break;
    case 0x4:
        vga->seq_index = value & 7;
        break;
    case 0x5:
        if (vga->seq_index < VGA_SEQ) {
            vga->seq[vga->seq_index] = value & seq_mask[vga->seq_index];
            vga_choose_view(vga);
        }
        break;
    case 0x6:
        vga->dac_mask = value;
        break;
    case 0x7:
        vga->dac_read = value;
        vga->dac_part = 0;
        vga->dac_state = 3;
        break;
    case 0x8:
        vga->dac_write = value;
        vga->dac_part = 0;
        vga->dac_state = 0;
        break;
    case 0x9:
        dac_write(vga, value);
        break;
    case 0xe:
        vga->gfx_index = value & 0x0f;
        break;
    case 0xf:
        if (vga->gfx_index < VGA_GFX) {
            vga->gfx[vga->gfx_index] = value & gfx_mask[vga->gfx_index];
            vga_choose_view(vga);
        }
        break;
    }
}

const struct bus_ops vga_ops = { vga_read, vga_write, 1 };

// ---- The device

bool vga_init(struct vga *vga, struct timers *timers, const u8 *rom, u32 rom_len)
{
    const struct board_host *host = timers->host;

    memset(vga, 0, sizeof(*vga));
    vga->timers = timers;
    vga->host = host;
    vga->own_memory = !host->memory_create;
    vga->memory = vga->own_memory ? calloc(1, VGA_MEMORY + VGA_VIEW)
                                  : host->memory_create(host->opaque, VGA_MEMORY + VGA_VIEW,
                                                        &vga->handle);
    if (!vga->memory)
        return false;
    if (rom_len && !vga->own_memory) {
        // A power of two, for its base address register.
        for (vga->rom_len = 0x800; vga->rom_len < rom_len;)
            vga->rom_len *= 2;
        vga->rom_len = MAX(vga->rom_len, PAGE_SIZE);
        vga->rom = host->memory_create(host->opaque, vga->rom_len, &vga->rom_handle);
        if (!vga->rom)
            return false;
        memcpy(vga->rom, rom, rom_len);
    }
    vga_pci_init(vga);
    return true;
}

void vga_destroy(struct vga *vga)
{
    if (vga->own_memory)
        free(vga->memory);
    vga->memory = NULL;
}

// The memory keeps its contents.
void vga_reset(struct vga *vga)
{
    vga->misc = vga->feature = vga->latch = 0;
    vga->enable = 1;
    vga->seq_index = vga->gfx_index = vga->crtc_index = vga->attr_index = 0;
    vga->attr_data = false;
    memset(vga->seq, 0, sizeof(vga->seq));
    memset(vga->gfx, 0, sizeof(vga->gfx));
    memset(vga->crtc, 0, sizeof(vga->crtc));
    memset(vga->attr, 0, sizeof(vga->attr));
    memset(vga->dac, 0, sizeof(vga->dac));
    vga->dac_mask = 0xff;
    vga->dac_state = vga->dac_read = vga->dac_write = vga->dac_part = 0;
    vga_pci_reset(vga);
    vga_choose_view(vga);
}

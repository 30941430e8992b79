// SPDX-License-Identifier: GPL-2.0-or-later
// The picture: what the CRT controller and the attribute controller make of the memory.
#include "vga.h"

#include <stdlib.h>
#include <string.h>

#define MAX_WIDTH 4096u
#define MAX_HEIGHT 4096u
#define FONT_LEN 0x2000

// What is the same for the whole picture.
struct picture {
    const struct vga *vga;
    const u32 *cells;
    u32 palette[256]; // of DAC indices
    u32 color[16];    // of attributes
    unsigned columns, width, height;
    unsigned dots;    // a character
};

static void read_palette(struct picture *p)
{
    const struct vga *vga = p->vga;
    bool wide = vga->vbe[VBE_ENABLE] & VBE_DAC8;

    for (unsigned n = 0; n < 256; n++) {
        const u8 *c = vga->dac[n & vga->dac_mask];
        u32 rgb = 0;

        for (unsigned i = 0; i < 3; i++)
            rgb = rgb << 8 | (wide ? c[i] : (c[i] & 0x3f) << 2 | (c[i] >> 4 & 3));
        p->palette[n] = rgb;
    }
    for (unsigned n = 0; n < 16; n++) {
        u8 index = vga->attr[n] & 0x3f, select = vga->attr[ATTR_COLOR];

        if (vga->attr[ATTR_MODE] & 0x80)
            index = (index & 0x0f) | (select & 3) << 4;
        p->color[n] = p->palette[index | (select & 0x0c) << 4];
    }
}

// ---- Geometry

u32 vga_address(const struct vga *vga, u32 ma, unsigned row)
{
    u8 mode = vga->crtc[CRTC_MODE];
    u32 at;

    if (vga->crtc[CRTC_UNDERLINE] & 0x40)
        at = ma << 2 | (ma >> 14 & 3);
    else if (mode & 0x40)
        at = ma;
    else
        at = ma << 1 | (ma >> (mode & 0x20 ? 15 : 13) & 1);
    // Scan-line counter bits in place of address bits: CGA's and Hercules' interleaving.
    if (!(mode & 1))
        at = (at & ~0x2000u) | (row & 1) << 13;
    if (!(mode & 2))
        at = (at & ~0x4000u) | (row >> 1 & 1) << 14;
    return at & (VGA_CELLS - 1);
}

// The vertical counter may count every other line only.
static unsigned lines_a_count(const struct vga *vga)
{
    return vga->crtc[CRTC_MODE] & 4 ? 2 : 1;
}

static unsigned lines_shown(const struct vga *vga)
{
    u8 overflow = vga->crtc[CRTC_OVERFLOW];
    unsigned end = vga->crtc[CRTC_V_DISPLAY] | (overflow >> 1 & 1) << 8 | (overflow >> 6 & 1) << 9;

    return (end + 1) * lines_a_count(vga);
}

static unsigned dots_of(const struct vga *vga)
{
    if (vga_graphics(vga))
        return vga->attr[ATTR_MODE] & 0x40 ? 4 : 8;
    return vga->seq[SEQ_CLOCKING] & 1 ? 8 : 9;
}

void vga_size(const struct vga *vga, unsigned *width, unsigned *height)
{
    if (vga->vbe[VBE_ENABLE] & VBE_ENABLED) {
        *width = vga->vbe[VBE_X];
        *height = vga->vbe[VBE_Y];
        return;
    }
    *width = (vga->crtc[CRTC_H_DISPLAY] + 1) * dots_of(vga);
    *height = lines_shown(vga);
    if (vga->crtc[CRTC_MAX_SCAN] & 0x80)
        *height = (*height + 1) / 2; // each line twice: once is enough
}

u32 vga_column(const struct vga *vga, u32 ma, unsigned x)
{
    if (vga->crtc[CRTC_UNDERLINE] & 0x20)
        return ma + x / 4;
    return ma + (vga->crtc[CRTC_MODE] & 8 ? x / 2 : x);
}

// ---- The beam, line by line

// The picture's line that is the last one above a split screen.
static unsigned last_above(const struct vga *vga)
{
    unsigned compare = vga->crtc[CRTC_COMPARE] | (vga->crtc[CRTC_OVERFLOW] >> 4 & 1) << 8
                       | (vga->crtc[CRTC_MAX_SCAN] >> 6 & 1) << 9;

    return ((compare + 1) * lines_a_count(vga) - 1) >> (vga->crtc[CRTC_MAX_SCAN] >> 7);
}

void vga_scan_start(const struct vga *vga, struct vga_scan *s)
{
    const u8 *crtc = vga->crtc;

    *s = (struct vga_scan){
        .row = crtc[CRTC_PRESET_ROW] & 0x1f,
        .byte_pan = crtc[CRTC_PRESET_ROW] >> 5 & 3,
        .split = last_above(vga),
    };
    s->ma = (crtc[CRTC_START_HIGH] << 8 | crtc[CRTC_START_LOW]) + s->byte_pan;
}

bool vga_scan_next(const struct vga *vga, struct vga_scan *s)
{
    bool last = s->row == (vga->crtc[CRTC_MAX_SCAN] & 0x1fu);

    if (s->y++ == s->split) {
        s->below = true;
        s->ma = vga->attr[ATTR_MODE] & ATTR_MODE_SPLIT_STAYS ? 0 : s->byte_pan;
        s->row = 0;
        return true;
    }
    s->row = last ? 0 : (s->row + 1) & 0x1f;
    s->ma += last ? vga->crtc[CRTC_OFFSET] * 2u : 0;
    return last;
}

bool vga_cursor(const struct vga *vga, u32 ma, unsigned x)
{
    u32 cursor = vga->crtc[CRTC_CURSOR_HIGH] << 8 | vga->crtc[CRTC_CURSOR_LOW];
    unsigned skew = vga->crtc[CRTC_CURSOR_END] >> 5 & 3;

    return x >= skew && (vga_column(vga, ma, x - skew) & 0xffff) == cursor;
}

// ---- Text

// Character generator: 8 KiB a font in plane 2, bits of the character map select out of order.
static u32 font_base(u8 select, bool second)
{
    unsigned n = second ? (select >> 2 & 3) | (select >> 3 & 4) : (select & 3) | (select >> 2 & 4);

    return (n & 3) * 0x4000 + (n >> 2) * FONT_LEN;
}

// Characters that blink, and the cursor, are shown as while they are lit.
static void text_cell(const struct picture *p, u32 *to, u32 cell, unsigned row, bool cursor)
{
    const struct vga *vga = p->vga;
    u8 attribute = cell >> 8, code = cell, mode = vga->attr[ATTR_MODE], enabled = vga->attr[ATTR_PLANES];
    u32 base = font_base(vga->seq[SEQ_FONTS], attribute & 8);
    u8 bits = p->cells[(base + code * 32 + row) & (VGA_CELLS - 1)] >> 16;
    u32 back = p->color[(mode & ATTR_MODE_BLINK ? attribute >> 4 & 7 : attribute >> 4) & enabled];
    u32 fore = p->color[attribute & enabled & 0x0f];
    bool underline = (attribute & 0x77) == 1 && row == (vga->crtc[CRTC_UNDERLINE] & 0x1fu);
    // The ninth column repeats the eighth for line drawing characters.
    bool ninth = mode & ATTR_MODE_LINES && code >= 0xc0 && code <= 0xdf && bits & 1;

    if (cursor || underline) {
        bits = 0xff;
        ninth = true;
    }
    for (unsigned x = 0; x < 8; x++)
        to[x] = bits & 0x80 >> x ? fore : back;
    if (p->dots == 9)
        to[8] = ninth ? fore : back;
}

static bool cursor_line(const struct vga *vga, unsigned row)
{
    u8 start = vga->crtc[CRTC_CURSOR_START];

    return !(start & 0x20) && row >= (start & 0x1f) && row <= (vga->crtc[CRTC_CURSOR_END] & 0x1fu);
}

static void text_line(const struct picture *p, u32 *to, u32 ma, unsigned row)
{
    const struct vga *vga = p->vga;
    bool cursor = cursor_line(vga, row);

    for (unsigned x = 0; x <= p->columns; x++)
        text_cell(p, to + x * p->dots, p->cells[vga_address(vga, vga_column(vga, ma, x), row)], row,
                  cursor && vga_cursor(vga, ma, x));
}

// ---- Graphics

// Sixteen colours: one bit a plane.
static void planar_cell(const struct picture *p, u32 *to, u32 cell)
{
    u8 enabled = p->vga->attr[ATTR_PLANES] & 0x0f;

    for (unsigned x = 0; x < 8; x++) {
        u32 bits = cell >> (7 - x);
        u8 index = (bits & 1) | (bits >> 7 & 2) | (bits >> 14 & 4) | (bits >> 21 & 8);

        to[x] = p->color[index & enabled];
    }
}

// CGA's four colours: two bits a dot, four dots from plane 0 (and 2), four from 1 (and 3).
static void cga_cell(const struct picture *p, u32 *to, u32 cell)
{
    u8 enabled = p->vga->attr[ATTR_PLANES] & 0x0f;

    for (unsigned x = 0; x < 8; x++) {
        u32 pair = cell >> (x < 4 ? 0 : 8) >> (6 - 2 * (x & 3));

        to[x] = p->color[((pair & 3) | (pair >> 14 & 0x0c)) & enabled];
    }
}

static void graphics_line(const struct picture *p, u32 *to, u32 ma, unsigned row)
{
    const struct vga *vga = p->vga;
    u8 shift = vga->gfx[GFX_MODE] >> 5 & 3;

    for (unsigned x = 0; x <= p->columns; x++, to += p->dots) {
        u32 cell = p->cells[vga_address(vga, vga_column(vga, ma, x), row)];

        if (p->dots == 4)
            for (unsigned i = 0; i < 4; i++)
                to[i] = p->palette[cell >> (8 * i) & 0xff];
        else if (shift & 1)
            cga_cell(p, to, cell);
        else
            planar_cell(p, to, cell);
    }
}

// By how many dots the picture is shifted to the left.
static unsigned panning(const struct picture *p)
{
    unsigned value = p->vga->attr[ATTR_PANNING] & 0x0f;

    if (p->dots == 9)
        return value >= 8 ? 0 : value + 1;
    return p->dots == 4 ? (value & 7) / 2 : value & 7;
}

static void standard_picture(const struct picture *p, u32 *rgb)
{
    const struct vga *vga = p->vga;
    unsigned pan = panning(p);
    struct vga_scan s;
    u32 line[MAX_WIDTH + 16]; // with one character more than is seen

    for (vga_scan_start(vga, &s); s.y < p->height; vga_scan_next(vga, &s)) {
        if (s.below && vga->attr[ATTR_MODE] & ATTR_MODE_SPLIT_STAYS)
            pan = 0;
        if (vga_graphics(vga))
            graphics_line(p, line, s.ma, s.row);
        else
            text_line(p, line, s.ma, s.row);
        memcpy(rgb + (size_t)s.y * p->width, line + pan, p->width * sizeof(*rgb));
    }
}

// ---- Linear modes

static u32 pixel(const struct picture *p, const u8 *at, unsigned bpp)
{
    u32 value = at[0] | at[1] << 8;

    switch (bpp) {
    case 8:
        return p->palette[at[0]];
    case 15:
        return (value & 0x7c00) << 9 | (value & 0x03e0) << 6 | (value & 0x1f) << 3;
    case 16:
        return (value & 0xf800) << 8 | (value & 0x07e0) << 5 | (value & 0x1f) << 3;
    default:
        return value | at[2] << 16;
    }
}

static void linear_picture(const struct picture *p, u32 *rgb)
{
    const u16 *r = p->vga->vbe;
    unsigned bpp = r[VBE_BPP], bytes = (bpp + 7) / 8;
    u64 pitch = (u64)r[VBE_VIRTUAL_X] * bytes;

    for (unsigned y = 0; y < p->height; y++)
        for (unsigned x = 0; x < p->width; x++) {
            u64 at = (y + (u64)r[VBE_Y_OFFSET]) * pitch + (x + (u64)r[VBE_X_OFFSET]) * bytes;

            // The view behind the memory leaves room for the bytes of the last pixel.
            *rgb++ = pixel(p, p->vga->memory + (at & (VGA_MEMORY - 1)), bpp);
        }
}

static void vbe_planar_picture(const struct picture *p, u32 *rgb)
{
    const u16 *r = p->vga->vbe;

    for (unsigned y = 0; y < p->height; y++)
        for (unsigned x = 0; x + 8 <= p->width; x += 8) {
            u64 at = (y + (u64)r[VBE_Y_OFFSET]) * (r[VBE_VIRTUAL_X] / 8) + (x + r[VBE_X_OFFSET]) / 8;

            planar_cell(p, rgb + (size_t)y * p->width + x, p->cells[at & (VGA_MEMORY / 4 - 1)]);
        }
}

bool vga_pixels(struct vga *vga, struct screen_pixels *out)
{
    struct picture p = { .vga = vga, .cells = vga_cells(vga) };

    vga_sync(vga);
    read_palette(&p);
    vga_size(vga, &p.width, &p.height);
    p.width = MIN(p.width, MAX_WIDTH);
    p.height = MIN(p.height, MAX_HEIGHT);
    p.dots = dots_of(vga);
    p.columns = p.width / p.dots;
    *out = (struct screen_pixels){ p.width, p.height, calloc((size_t)p.width * p.height + 16, 4) };
    if (!out->rgb)
        return false;
    if (vga_linear_mode(vga))
        linear_picture(&p, out->rgb);
    else if (vga->vbe[VBE_ENABLE] & VBE_ENABLED)
        vbe_planar_picture(&p, out->rgb);
    else if (vga_visible(vga))
        standard_picture(&p, out->rgb);
    return true;
}

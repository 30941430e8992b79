// SPDX-License-Identifier: GPL-2.0-or-later
#include "picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef RING3_PNG
#include <png.h>
#endif

// Code page 437, which the ROM fonts show.
static const u16 low[32] = {
    0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9, 0x2642,
    0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7, 0x25ac, 0x21a8,
    0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc,
};
static const u16 high[128] = {
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef,
    0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9,
    0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa,
    0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557,
    0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f,
    0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559,
    0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580,
    0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4,
    0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248,
    0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

u32 picture_unicode(u8 code)
{
    if (code < 32)
        return low[code];
    if (code == 0xff)
        return ' ';
    return code == 127 ? 0x2302 : code < 128 ? code : high[code - 128];
}

void picture_utf8(u32 c, char buf[5])
{
    unsigned n = 0;

    if (c < 0x80) {
        buf[n++] = (char)c;
    } else if (c < 0x800) {
        buf[n++] = (char)(0xc0 | c >> 6);
        buf[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        buf[n++] = (char)(0xe0 | c >> 12);
        buf[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        buf[n++] = (char)(0x80 | (c & 0x3f));
    }
    buf[n] = '\0';
}

void picture_text(struct machine *m, FILE *f)
{
    struct screen_text *s = malloc(sizeof(*s));

    if (!s)
        return;
    machine_screen(m, s);
    if (!s->text)
        fprintf(f, "[graphics, %u x %u]\n", s->width, s->height);
    for (unsigned y = 0; s->text && y < s->rows; y++) {
        const u16 *row = s->cell + y * s->columns;
        unsigned used = s->columns;

        while (used && picture_unicode((u8)row[used - 1]) == ' ')
            used--;
        for (unsigned x = 0; x < used; x++) {
            char text[5];

            picture_utf8(picture_unicode((u8)row[x]), text);
            fputs(text, f);
        }
        fputc('\n', f);
    }
    free(s);
}

#ifdef RING3_PNG
static bool write_png(const struct screen_pixels *p, FILE *f)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    u8 *line = malloc((size_t)p->width * 3);
    u8 *volatile kept = line; // over the longjmp
    bool ok = false;

    if (info && line && !setjmp(png_jmpbuf(png))) {
        png_init_io(png, f);
        png_set_IHDR(png, info, p->width, p->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        png_write_info(png, info);
        for (unsigned y = 0; y < p->height; y++) {
            const u32 *rgb = p->rgb + (size_t)y * p->width;

            for (unsigned x = 0; x < p->width; x++) {
                line[3 * x] = (u8)(rgb[x] >> 16);
                line[3 * x + 1] = (u8)(rgb[x] >> 8);
                line[3 * x + 2] = (u8)rgb[x];
            }
            png_write_row(png, line);
        }
        png_write_end(png, info);
        ok = true;
    }
    free(kept);
    png_destroy_write_struct(&png, &info);
    return ok;
}

bool picture_png(struct machine *m, const char *path, struct err *err)
{
    struct screen_pixels pixels;
    FILE *f;
    bool ok;

    if (!machine_pixels(m, &pixels))
        return err_set(err, EXIT_HOST, "out of memory for the picture");
    f = fopen(path, "wb");
    if (!f) {
        free(pixels.rgb);
        return err_set(err, EXIT_HOST, "cannot write %s: %s", path, strerror(errno));
    }
    ok = write_png(&pixels, f);
    ok = fclose(f) == 0 && ok;
    free(pixels.rgb);
    if (ok)
        return true;
    unlink(path);
    return err_set(err, EXIT_HOST, "cannot write %s: %s", path, strerror(errno));
}
#else
bool picture_png(struct machine *m, const char *path, struct err *err)
{
    (void)m;
    return err_set(err, EXIT_HOST, "cannot write %s: ring3 was built without libpng", path);
}
#endif

// SPDX-License-Identifier: GPL-2.0-or-later
// The opcode table:
//
//   opcodes-table PAGE TEST=RECORD...       checks it: README.md says what
//   opcodes-table -w PAGE TEST=RECORD...    writes it anew
#include "monitor/cpu/model.h"
#include "record.h"
#include "ways.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TESTS 64
#define SHOWN_TESTS 3
#define CELL 256
#define SURE 5 // executions without an exception, at least, that make a random test one of the form's

static const char *const since[ISA_COUNT] = {
    [ISA_386] = "386", [ISA_486] = "486", [ISA_P5] = "Pentium", [ISA_CMOV] = "P6", [ISA_MMX] = "MMX", [ISA_P6] = "P6",
    [ISA_SEP] = "P6", [ISA_FXSR] = "FXSR", [ISA_SSE] = "SSE", [ISA_SSE2] = "SSE2", [ISA_SSE3] = "SSE3",
    [ISA_SSSE3] = "SSSE3", [ISA_SSE41] = "SSE4.1", [ISA_SSE42] = "SSE4.2", [ISA_POPCNT] = "POPCNT",
    [ISA_MOVBE] = "MOVBE", [ISA_AES] = "AES", [ISA_PCLMUL] = "PCLMULQDQ", [ISA_RDRAND] = "RDRAND",
    [ISA_RDSEED] = "RDSEED", [ISA_ADX] = "ADX", [ISA_LZCNT] = "LZCNT", [ISA_TZCNT] = "BMI1",
    [ISA_BMI1] = "BMI1",
};
static const char *const fault_name[32] = {
    [X_DE] = "DE", [X_DB] = "DB", [X_BP] = "BP", [X_OF] = "OF", [X_BR] = "BR", [X_UD] = "UD", [X_NM] = "NM",
    [X_TS] = "TS", [X_NP] = "NP", [X_SS] = "SS", [X_GP] = "GP", [X_PF] = "PF", [X_MF] = "MF", [X_AC] = "AC",
    [X_XM] = "XM",
};

struct table {
    struct ways *ways;
    struct record all;
    struct test {
        const char *name;
        struct record *record;
        bool random; // cases at random
    } test[MAX_TESTS];
    unsigned tests, problems;
    const struct cpu_model *max;
};

__attribute__((format(printf, 2, 3))) static void complain(struct table *t, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    t->problems++;
}

// ---- The decoder against the table

static void check_rows(struct table *t)
{
    for (unsigned i = 0; i < t->all.forms.count; i++) {
        const struct form *form = &t->all.forms.form[i];
        struct insn insn;
        u8 bytes[INSN_MAX];
        char key[FORM_KEY];

        form_key(form, key);
        ways_example(form, bytes, &insn);
        if (form_find(&t->all.forms, &insn) != (int)i)
            complain(t, "%s: its encoding decodes to another form", key);
    }
}

static void check_encodings(struct table *t)
{
    static const u8 prefix[4] = { 0x3e, 0x66, 0xf3, 0xf2 };

    for (u32 n = 0; n < MAP_COUNT * 256 * 4 * 256; n++) {
        unsigned op = n >> 10, map = op >> 8;
        u8 bytes[INSN_MAX] = { prefix[n >> 8 & 3] };
        unsigned at = 1;
        struct insn insn;

        if (map == MAP_VEX38) {
            memcpy(bytes + at, "\xc4\xe2\x78", 3);
            at += 3;
        } else if (map) {
            bytes[at++] = 0x0f;
        }
        if (map == MAP_0F38 || map == MAP_0F3A)
            bytes[at++] = map == MAP_0F38 ? 0x38 : 0x3a;
        bytes[at++] = op;
        bytes[at] = n;
        if (insn_decode(&insn, bytes, sizeof(bytes), true) == INSN_OK && !(insn.attr & INSN_UD) &&
            form_find(&t->all.forms, &insn) < 0)
            complain(t, "map %u opcode %02x ModRM %02x: decodes, but has no form", map, op & 0xff, n & 0xff);
    }
}

// ---- Tests

// Forms whose purpose is an exception.
static bool only_faults(const struct form *form)
{
    switch (form->row->sensitive) {
    case SENS_INT: case SENS_INT3: case SENS_INT1: case SENS_RSM:
        return true;
    }
    return ENC_ATTR(form->row->enc) & INSN_UD;
}

static bool executes(const struct record *r, unsigned i)
{
    return only_faults(&r->forms.form[i]) ? r->of[i].count : r->of[i].fine;
}

static void find_tests(const struct table *t, unsigned i, char *cell)
{
    unsigned n = 0, shown = 0;

    *cell = '\0';
    for (unsigned k = 0; k < t->tests; k++) {
        const struct record *r = t->test[k].record;

        // What comes up now and then may not come up once the generator has changed.
        if (!executes(r, i) || (t->test[k].random && r->of[i].fine < SURE && !only_faults(&r->forms.form[i])))
            continue;
        n++;
        if (shown < SHOWN_TESTS)
            cell += sprintf(cell, "%s%s", shown++ ? ", " : "", t->test[k].name);
    }
    if (n > shown)
        sprintf(cell, ", +%u", n - shown);
}

// The tests that a row of the page names do execute the form.
static void check_tests(struct table *t, unsigned i, char *cell)
{
    const struct form *form = &t->all.forms.form[i];
    char key[FORM_KEY], copy[CELL];
    unsigned named = 0;

    form_key(form, key);
    strcpy(copy, cell);
    if (!cpu_model_has(t->max, form->row->isa))
        return; // not on this host
    for (char *name = strtok(copy, ", "); name; name = strtok(NULL, ", ")) {
        unsigned k = 0;

        if (*name == '+')
            continue;
        while (k < t->tests && strcmp(t->test[k].name, name) != 0)
            k++;
        if (k == t->tests)
            complain(t, "%s: no such test: %s", key, name);
        else if (!executes(t->test[k].record, i))
            complain(t, "%s: %s does not execute it", key, name);
        named++;
    }
    if (!named)
        complain(t, "%s: no test executes it", key);
}

static void check_faults(struct table *t, unsigned i)
{
    const struct form *form = &t->all.forms.form[i];
    char key[FORM_KEY];

    form_key(form, key);
    for (unsigned k = 0; k < t->tests; k++) {
        // Any may meet #DB, a #PF or #GP as it is fetched, #UD for a LOCK, and faults in delivering those.
        u32 more = t->test[k].record->of[i].faults & ~form_faults(form) &
                   ~(BIT(X_DB) | BIT(X_PF) | BIT(X_GP) | BIT(X_UD) | BIT(X_DF));

        for (unsigned x = 0; x < 32; x++)
            if (more & BIT(x))
                complain(t, "%s: raises #%s in %s, which is not in its row", key, fault_name[x] ?: "?", t->test[k].name);
    }
}

// ---- The page

static void print_row(struct table *t, unsigned i, const char *tests, FILE *out)
{
    const struct form *form = &t->all.forms.form[i];
    u32 faults = form_faults(form);
    char key[FORM_KEY], operands[128], bt[64];
    struct insn insn;
    u8 bytes[INSN_MAX];
    bool lock = ENC_ATTR(form->row->enc) & INSN_LOCKABLE && form->has_rm == RM_MEM;

    ways_example(form, bytes, &insn);
    form_key(form, key);
    ways_operands(t->ways, bytes, form, operands);
    ways_bt(t->ways, bytes, &insn, bt);
    if (strchr(form->row->name, ' ') && insn.sensitive)
        *operands = '\0'; // "push es", "call far" say it all
    fprintf(out, "| `%s` | %s%s%s%s | %s | %s | %s |", key, lock ? "[lock] " : "", form->row->name, *operands ? " " : "",
            operands, since[form->row->isa], ways_interp(t->ways, &insn), bt);
    for (unsigned x = 0; x < 32; x++)
        if (faults & BIT(x))
            fprintf(out, " %s", fault_name[x]);
    fprintf(out, " | %s |\n", tests);
}

static void print_head(const struct table *t, FILE *out)
{
    unsigned by_bt[3] = { 0 };
    static const char *const kinds[3] = { "copied", "inline", "emulated" };

    for (unsigned i = 0; i < t->all.forms.count; i++) {
        struct insn insn;
        u8 bytes[INSN_MAX];
        char bt[64];

        ways_example(&t->all.forms.form[i], bytes, &insn);
        ways_bt(t->ways, bytes, &insn, bt);
        for (unsigned k = 0; k < 3; k++)
            by_bt[k] += strncmp(bt, kinds[k], strlen(kinds[k])) == 0;
    }
    fprintf(out,
            "# Opcodes\n\n"
            "Every instruction form that ring3 has, how each engine does it, what it can raise, and the tests that\n"
            "execute it. This page is generated from the decoder's tables, the engines themselves and recordings of the\n"
            "tests, and checked by the test `opcodes.table`. README.md beside it explains the columns.\n\n"
            "%u forms: the translator copies %u, has code of its own for %u, and leaves %u to the interpreter's\n"
            "handlers. %u slots of the opcode maps are undefined and raise #UD.\n\n"
            "| encoding | instruction | since | interp | bt | can raise | tests |\n|---|---|---|---|---|---|---|\n",
            t->all.forms.count, by_bt[0], by_bt[1], by_bt[2], t->all.forms.undefined);
}

// The page as it should be. old: the page there is, whose last column is kept if its tests do what it says; or NULL.
static char *make_page(struct table *t, const char *old)
{
    char *page;
    size_t size;
    FILE *out = open_memstream(&page, &size);

    print_head(t, out);
    for (unsigned i = 0; i < t->all.forms.count; i++) {
        char key[FORM_KEY + 8], cell[CELL] = "";
        const char *line, *end, *p;

        form_key(&t->all.forms.form[i], key + 4);
        if (!old) {
            find_tests(t, i, cell);
            if (!*cell)
                printf("%s: no test executes it\n", key + 4);
        } else {
            memcpy(key, "\n| `", 4);
            strcat(key, "` |");
            line = strstr(old, key);
            end = line ? strchr(line + 1, '\n') : NULL;
            for (p = end ? end - 2 : NULL; p && *--p != '|';)
                ;
            if (p && end - p - 5 > 0 && end - p < CELL)
                sprintf(cell, "%.*s", (int)(end - p - 4), p + 2);
            check_tests(t, i, cell);
        }
        print_row(t, i, cell, out);
    }
    fclose(out);
    return page;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = NULL;
    size_t len = 0;

    if (!f || getdelim(&text, &len, '\0', f) < 0) {
        perror(path);
        exit(2);
    }
    fclose(f);
    return text;
}

static void say_difference(const char *path, const char *is, const char *should)
{
    unsigned line = 1;

    for (; *is && *is == *should; is++, should++)
        line += *is == '\n';
    while (should[-1] != '\n')
        should--, is--;
    printf("%s:%u: is\n%.*s\nand should be\n%.*s\n", path, line, (int)strcspn(is, "\n"), is,
           (int)strcspn(should, "\n"), should);
}

static void check_page(struct table *t, const char *path)
{
    char *is = read_file(path), *should = make_page(t, is);

    if (strcmp(is, should) != 0) {
        say_difference(path, is, should);
        complain(t, "The table is out of date: ninja -C BUILD opcodes-page writes it anew.");
    }
    free(is);
    free(should);
}

static bool read_tests(struct table *t, char **arguments)
{
    for (; *arguments; arguments++) {
        char *path = strchr(*arguments, '=');

        if (!path || t->tests == MAX_TESTS)
            return false;
        *path++ = '\0';
        t->test[t->tests].name = *arguments;
        t->test[t->tests].random = strcmp(*arguments, "oracle") == 0;
        t->test[t->tests].record = calloc(1, sizeof(struct record));
        forms_init(&t->test[t->tests].record->forms);
        if (!record_read(t->test[t->tests++].record, path))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct table t;
    bool write = argc > 2 && strcmp(argv[1], "-w") == 0;

    argv += write;
    if (argc < 2 + write || !read_tests(&t, argv + 2)) {
        fprintf(stderr, "usage: opcodes-table [-w] PAGE TEST=RECORD...\n");
        return 2;
    }
    forms_init(&t.all.forms);
    t.max = cpu_model_find("max");
    t.ways = ways_new();
    check_rows(&t);
    check_encodings(&t);
    for (unsigned i = 0; i < t.all.forms.count; i++)
        check_faults(&t, i);
    if (write) {
        FILE *f = fopen(argv[1], "w");
        char *page = make_page(&t, NULL);

        if (!f || fputs(page, f) < 0 || fclose(f)) {
            perror(argv[1]);
            return 2;
        }
        free(page);
    } else {
        check_page(&t, argv[1]);
    }
    printf("%u forms, %u tests, %u problems\n", t.all.forms.count, t.tests, t.problems);
    ways_free(t.ways);
    return t.problems != 0;
}

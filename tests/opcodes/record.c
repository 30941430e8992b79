// SPDX-License-Identifier: GPL-2.0-or-later
#include "record.h"

#include <stdio.h>
#include <string.h>

void record_add(struct record *r, const struct insn *insn, int vector)
{
    int form = form_find(&r->forms, insn);

    if (form < 0)
        return;
    r->of[form].count++;
    if (vector < 0)
        r->of[form].fine++;
    else if (vector < 32)
        r->of[form].faults |= BIT(vector);
}

bool record_write(const struct record *r, const char *path)
{
    FILE *f = fopen(path, "w");
    char key[FORM_KEY];
    bool fine;

    for (unsigned i = 0; f && i < r->forms.count; i++) {
        form_key(&r->forms.form[i], key);
        if (r->of[i].count)
            fprintf(f, "%llu %llu %x %s\n", (unsigned long long)r->of[i].count, (unsigned long long)r->of[i].fine,
                    r->of[i].faults, key);
    }
    fine = f && !ferror(f);
    if (!f || fclose(f) || !fine) {
        perror(path);
        return false;
    }
    return true;
}

static int find_key(const struct record *r, const char *wanted)
{
    char key[FORM_KEY];

    for (unsigned i = 0; i < r->forms.count; i++) {
        form_key(&r->forms.form[i], key);
        if (strcmp(key, wanted) == 0)
            return i;
    }
    return -1;
}

bool record_read(struct record *r, const char *path)
{
    FILE *f = fopen(path, "r");
    unsigned long long count, fine;
    char line[128];
    unsigned faults;
    int at, form;

    if (!f) {
        perror(path);
        return false;
    }
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%llu %llu %x %n", &count, &fine, &faults, &at) < 3 || (form = find_key(r, line + at)) < 0) {
            fprintf(stderr, "%s: no form: %s\n", path, line);
            fclose(f);
            return false;
        }
        r->of[form].count += count;
        r->of[form].fine += fine;
        r->of[form].faults |= faults;
    }
    fclose(f);
    return true;
}

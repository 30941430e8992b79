// SPDX-License-Identifier: GPL-2.0-or-later
// Cases as text: what a failure prints is what a file in cases/ holds and --replay reads.
#ifndef RING3_TESTS_ORACLE_CASEFILE_H
#define RING3_TESTS_ORACLE_CASEFILE_H

#include "case.h"

#include <stdio.h>

void case_print(FILE *f, const struct oracle_case *c);
// False, with a message printed, if the file is not a case.
bool case_read(const char *path, struct oracle_case *c);
void result_print(FILE *f, const char *who, const struct oracle_result *r);

// Prints each difference on a line, if f is not NULL; true if there is none. undefined: flags not to
// compare.
bool result_compare(FILE *f, const struct oracle_result *native, const struct oracle_result *guest,
                    u32 undefined);

#endif

// SPDX-License-Identifier: GPL-2.0-or-later
// The GDT that kernel.c makes, for C and assembly.
#ifndef RING3_TESTS_GUEST_SELECTORS_H
#define RING3_TESTS_GUEST_SELECTORS_H

#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define USER_CS 0x1b
#define USER_DS 0x23
#define TSS_SELECTOR 0x28
#define SPARE 0x30 // and above, to 0x78: for tests to fill

#endif

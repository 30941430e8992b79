// SPDX-License-Identifier: GPL-2.0-or-later
// The integer and address types every folder uses.
#ifndef RING3_BASE_TYPES_H
#define RING3_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;

// A guest linear address (after segmentation, before paging): always 32 bits.
typedef u32 gla_t;
// A guest-physical address: 32 bits, or up to 52 with PAE.
typedef u64 gpa_t;

#define GPA_NONE ((gpa_t)-1)

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096u
#define PAGE_MASK 0xfffff000u

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1u << (n))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif

// SPDX-License-Identifier: GPL-2.0-or-later
// What the real-mode stages are written in. Each check knows the line it stands in; the first
// that fails ends the ROM. BP is the checks' own.
#define POST_PORT 0x190
#define DEBUG_PORT 0xe9
#define EXIT_PORT 0xf4

#define CF 0x001
#define PF 0x004
#define AF 0x010
#define ZF 0x040
#define SF 0x080
#define TF 0x100
#define IF 0x200
#define DF 0x400
#define OF 0x800
#define STATUS (CF | PF | AF | ZF | SF | OF)

#define STAGE(code, name) stage code, name
#define MUST(cc) must __LINE__, cc
#define FAIL fail __LINE__
#define EQ(reg, value) cmp $(value), reg; MUST(e)
// The flags in mask are exactly those in want. Changes BP only.
#define FLAGS(mask, want) \
    pushfw; popw %bp; andw $(mask), %bp; cmpw $(want), %bp; MUST(e)
// a op b, with this carry before, gives the result and the flags.
#define ALU(op, ra, rb, a, b, cin, result, mask, want) \
    movl $0, %eax; movl $0, %ebx; mov $(a), ra; mov $(b), rb; movw $(2 | (cin)), %bp; \
    pushw %bp; popfw; op rb, ra; pushfw; EQ(ra, result); popfw; FLAGS(mask, want)
#define UNARY(op, r, a, cin, result, mask, want) \
    movl $0, %eax; mov $(a), r; movw $(2 | (cin)), %bp; \
    pushw %bp; popfw; op r; pushfw; EQ(r, result); popfw; FLAGS(mask, want)
#define SHIFT(op, r, a, n, cin, result, mask, want) \
    mov $(a), r; movb $(n), %cl; movw $(2 | (cin)), %bp; \
    pushw %bp; popfw; op %cl, r; pushfw; EQ(r, result); popfw; FLAGS(mask, want)

// EAX and EDX as DIV and MUL want them.
#define EDX_EAX(high, low) movl $(high), %edx; movl $(low), %eax
// Lets interrupt n run the handler.
#define VECTOR(n, handler) movw $(handler), %fs:(n) * 4; movw %cs, %fs:(n) * 4 + 2

.macro stage code, name
    movb $\code, %al
    call begin_stage
    .asciz "\name"
.endm
.macro must line, cc
    j\cc 77f
    movw $\line, %bp
    movw $this_file, %si
    jmp real_failed
77:
.endm
.macro fail line
    movw $\line, %bp
    movw $this_file, %si
    jmp real_failed
.endm

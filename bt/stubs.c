// SPDX-License-Identifier: GPL-2.0-or-later
#include "stubs.h"

#include "cache/space.h"
#include "decoder/insn.h"

static const u8 host_gpr[8] = { H_RAX, H_RCX, H_RDX, H_RBX, H_ESP, H_RBP, H_RSI, H_RDI };

#define EFLAGS VCPU_OFF(eflags)

// With LAHF: r11b = OF, r11 bits 8-15 = SF ZF AF PF CF. Some early x86-64 CPUs lack it in 64-bit mode.
void bt_save_flags(const struct bt_stubs *s, struct emit *e)
{
    if (!s->lahf) {
        emit8(e, 0x9c);                             // pushfq
        emit8(e, 0x41), emit8(e, 0x5b);             // pop r11
        return;
    }
    emit_mov_rr(e, H_R11, H_RAX);
    emit8(e, 0x9f);                                 // lahf
    emit_rr(e, 0, OP0F(0x90), 0, H_RAX);            // seto al
    emit8(e, 0x41), emit8(e, 0x93);                 // xchg r11d, eax
}

void bt_restore_flags(const struct bt_stubs *s, struct emit *e)
{
    if (!s->lahf) {
        emit8(e, 0x41), emit8(e, 0x53);             // push r11
        emit8(e, 0x9d);                             // popfq
        return;
    }
    emit8(e, 0x41), emit8(e, 0x93);                 // xchg r11d, eax
    emit8(e, 0x04), emit8(e, 0x7f);                 // add al, 0x7f: OF
    emit8(e, 0x9e);                                 // sahf
    emit_mov_rr(e, H_RAX, H_R11);
}

static void save_state(const struct bt_stubs *s, struct emit *e)
{
    for (int i = 0; i < 8; i++)
        emit_store(e, H_VCPU, VCPU_OFF(gpr) + 4 * i, host_gpr[i]);
    emit_store64(e, H_VCPU, FRAME_OFF(r8), H_R8);
    emit_store64(e, H_VCPU, FRAME_OFF(r9), H_R9);
    if (s->lahf) {
        // AH has the layout of EFLAGS' low byte.
        emit8(e, 0x9f);                             // lahf
        emit_rr(e, 0, OP0F(0x90), 0, H_RAX);        // seto al
        emit_rr(e, 0, OP0F(0xb6), H_RCX, 4);        // movzx ecx, ah
        emit_rr(e, 0, OP0F(0xb6), H_RAX, H_RAX);    // movzx eax, al
        emit_rr(e, 0, 0xc1, 4, H_RAX), emit8(e, 11); // shl eax, 11
        emit_rr(e, 0, 0x09, H_RAX, H_RCX);          // or ecx, eax
    } else {
        emit8(e, 0x9c), emit8(e, 0x59);             // pushfq; pop rcx
    }
    emit_alu_ri(e, 4, H_RCX, FL_ARITH);             // and
    emit_load(e, H_RAX, H_VCPU, EFLAGS);
    emit_alu_ri(e, 4, H_RAX, ~FL_ARITH);
    emit_rr(e, 0, 0x09, H_RAX, H_RCX);              // or ecx, eax
    emit_store(e, H_VCPU, EFLAGS, H_RCX);
    emit_store64(e, H_VCPU, FRAME_OFF(host_sp), H_RSP);
    for (int i = 0; i < 8; i++)                     // movaps [xmm i], xmm i
        emit_rm(e, 0, OP0F(0x29), i, &(struct hmem){ H_VCPU, -1, 0, FRAME_OFF(xmm) + 16 * i });
}

// Runs a C function (vcpu, data in rsi) on the monitor's stack, and goes on where it says.
static void call_c(const struct bt_stubs *s, struct emit *e, bt_callout fn)
{
    emit_load64(e, H_RSP, H_VCPU, FRAME_OFF(monitor_sp));
    emit_mov64_rr(e, H_RDI, H_VCPU);
    emit_mov64_ri(e, H_RAX, (u64)fn);
    emit8(e, 0xff), emit8(e, 0xd0);                 // call rax
    emit_jmp(e, s->resume);
}

// data: the call that got here pushed the address of its data.
static u32 callout(const struct bt_stubs *s, struct emit *e, bt_callout fn, bool data)
{
    u32 at;

    emit_align(e, 16);
    at = emit_here(e);
    if (data)
        emit8(e, 0x41), emit8(e, 0x5b);             // pop r11
    save_state(s, e);
    if (data)
        emit_mov64_rr(e, H_RSI, H_R11);
    call_c(s, e, fn);
    return at;
}

static void emit_resume(struct bt_stubs *s, struct emit *e, bt_callout event)
{
    u8 *current;

    emit_align(e, 16);
    s->resume = emit_here(e);
    emit_store64(e, H_VCPU, FRAME_OFF(resume), H_RAX);
    for (int i = 0; i < 8; i++)                     // movaps xmm i, [xmm i]
        emit_rm(e, 0, OP0F(0x28), i, &(struct hmem){ H_VCPU, -1, 0, FRAME_OFF(xmm) + 16 * i });
    emit_load64(e, H_WINDOW, H_VCPU, FRAME_OFF(window));
    emit_load64(e, H_TABLE, H_VCPU, FRAME_OFF(table));
    emit_load64(e, H_RSP, H_VCPU, FRAME_OFF(host_sp));
    // A signal that came while C code ran has been seen by nobody: the last look is here, and one
    // that comes later finds RIP in the stubs and steps on.
    emit_load(e, H_RCX, H_VCPU, VCPU_OFF(event));
    emit_rm(e, 0, 0x3b, H_RCX, &(struct hmem){ H_VCPU, -1, 0, FRAME_OFF(seen) });
    current = emit_short(e, 0x74);                  // je
    call_c(s, e, event);
    emit_land(e, current);
    if (s->lahf) {
        emit_load(e, H_RCX, H_VCPU, EFLAGS);
        emit_mov_rr(e, H_RAX, H_RCX);
        emit_rr(e, 0, 0xc1, 5, H_RCX), emit8(e, 11); // shr ecx, 11: OF
        emit_alu_ri(e, 4, H_RCX, 1);
        emit_rr(e, 0, 0x88, H_RAX, 4);              // mov ah, al
        emit_rr(e, 0, 0x88, H_RCX, H_RAX);          // mov al, cl
        emit8(e, 0x04), emit8(e, 0x7f);             // add al, 0x7f
        emit8(e, 0x9e);                             // sahf
    } else {
        emit_load(e, H_RCX, H_VCPU, EFLAGS);
        emit_alu_ri(e, 4, H_RCX, FL_ARITH);
        emit_alu_ri(e, 1, H_RCX, FL_IF | FL_FIXED1); // or
        emit8(e, 0x51), emit8(e, 0x9d);             // push rcx; popfq
    }
    for (int i = 0; i < 8; i++)
        emit_load(e, host_gpr[i], H_VCPU, VCPU_OFF(gpr) + 4 * i);
    emit_rm(e, 0, 0xff, 4, &(struct hmem){ H_VCPU, -1, 0, FRAME_OFF(resume) }); // jmp
}

static const u8 callee_saved[] = { H_RBX, H_RBP, H_WINDOW, H_ESP, H_TABLE, H_VCPU };

static void emit_enter_leave(struct bt_stubs *s, struct emit *e)
{
    // u64 bt_enter(struct vcpu *v (rdi), u64 host (rsi)): six pushes and the return address leave rsp 8 off a
    // multiple of 16.
    emit_align(e, 16);
    s->enter = emit_here(e);
    for (unsigned i = 0; i < sizeof(callee_saved); i++) {
        if (callee_saved[i] >= 8)
            emit8(e, 0x41);
        emit8(e, 0x50 + (callee_saved[i] & 7));
    }
    emit_rr(e, E_W, 0x83, 5, H_RSP), emit8(e, 8);   // sub rsp, 8
    emit_mov64_rr(e, H_VCPU, H_RDI);
    emit_store64(e, H_VCPU, FRAME_OFF(monitor_sp), H_RSP);
    emit_mov64_rr(e, H_RAX, H_RSI);
    emit_jmp(e, s->resume);

    // Reached from resume with the guest's state loaded; C code saved all of it before.
    emit_align(e, 16);
    s->leave = emit_here(e);
    emit_load64(e, H_RSP, H_VCPU, FRAME_OFF(monitor_sp));
    emit_rr(e, E_W, 0x83, 0, H_RSP), emit8(e, 8);   // add rsp, 8
    for (int i = sizeof(callee_saved) - 1; i >= 0; i--) {
        if (callee_saved[i] >= 8)
            emit8(e, 0x41);
        emit8(e, 0x58 + (callee_saved[i] & 7));
    }
    emit8(e, 0xc3);
}

void bt_jump_table(struct emit *e, unsigned ext)
{
    emit_rr(e, 0, OP0F(0xb7), H_R9, H_R8);          // movzx r9d, r8w
    emit_rm(e, 0, 0x8b, H_R9, &(struct hmem){ H_TABLE, H_R9, 2, offsetof(struct space_table, jump) });
    emit_rr(e, 0, 0xff, ext, H_R9);
}

static void emit_probe(struct bt_stubs *s, struct emit *e)
{
    const i32 far = offsetof(struct space_table, far);
    u8 *miss;

    _Static_assert(sizeof(struct space_far) == 8, "the scale below");
    emit_align(e, 16);
    s->probe = emit_here(e);
    bt_save_flags(s, e);
    emit_mov_rr(e, H_R9, H_R8);
    emit_rr(e, 0, 0xc1, 5, H_R9), emit8(e, SPACE_FAR_BITS); // shr r9d: space_far_index
    emit_rr(e, 0, 0x31, H_R8, H_R9);                        // xor r9d, r8d
    emit_alu_ri(e, 4, H_R9, SPACE_FAR - 1);                 // and
    emit_rm(e, 0, 0x3b, H_R8, &(struct hmem){ H_TABLE, H_R9, 3, far + (i32)offsetof(struct space_far, eip) });
    miss = emit_short(e, 0x75);                             // jne
    emit_rm(e, 0, 0x8b, H_R9, &(struct hmem){ H_TABLE, H_R9, 3, far + (i32)offsetof(struct space_far, host) });
    bt_restore_flags(s, e);
    emit_rr(e, 0, 0xff, 4, H_R9);                           // jmp r9
    emit_land(e, miss);
    bt_restore_flags(s, e);
    emit_jmp(e, s->lookup);
}

#define TLB_OFF(field) ((i32)(offsetof(struct vcpu, tlb) + offsetof(struct tlb_entry, field)))

// r10 has the TLB index times the entry's size.
static void emit_hit(const struct bt_stubs *s, struct emit *e, bool flags)
{
    emit_rm(e, E_W, 0x8b, H_R10, &(struct hmem){ H_VCPU, H_R10, 0, TLB_OFF(addend) });
    if (flags)
        bt_restore_flags(s, e);
    emit8(e, 0xc3);                                                  // ret
}

// The entry's tag is compared with the page of the last byte, so that accesses across pages miss. Flags are saved around
// that: a fault of the access must find them. A write to bytes that are free of code, in a page with code, is a hit, too.
static struct bt_check emit_check(const struct bt_stubs *s, struct emit *e, bool flags, bool write, unsigned size)
{
    struct bt_check check;
    u8 *miss, *slow[3];
    unsigned n = 0;

    emit_align(e, 16);
    check.flat = emit_here(e);
    emit_load(e, H_R9, H_VCPU, VCPU_OFF(asid));
    check.seg = emit_here(e);
    if (flags)
        bt_save_flags(s, e);
    emit_lea(e, H_R10, H_R8, -1, 0, size - 1);
    emit_alu_ri(e, 4, H_R10, PAGE_MASK);                             // and
    emit_rr(e, 0, 0x09, H_R10, H_R9);                                // or r9d, r10d
    emit_mov_rr(e, H_R10, H_R8);
    emit_rr(e, 0, 0xc1, 5, H_R10), emit8(e, PAGE_SHIFT - 5);         // shr r10d, 7
    emit_alu_ri(e, 4, H_R10, (TLB_SIZE - 1) << 5);                   // and
    emit_rm(e, 0, 0x3b, H_R9, &(struct hmem){ H_VCPU, H_R10, 0, write ? TLB_OFF(wtag) : TLB_OFF(rtag) }); // cmp
    miss = emit_short(e, 0x75);                                      // jne
    emit_hit(s, e, flags);
    emit_land(e, miss);
    if (write) {
        emit_rm(e, 0, 0x3b, H_R9, &(struct hmem){ H_VCPU, H_R10, 0, TLB_OFF(rtag) });
        slow[n++] = emit_short(e, 0x75);
        for (u32 at = 0; at < size; at += MAX(size - 1u, 1u)) {
            emit_lea(e, H_R9, H_R8, -1, 0, at);
            emit_rr(e, 0, 0xc1, 5, H_R9), emit8(e, 6);               // shr r9d, 6
            emit_alu_ri(e, 4, H_R9, 63);
            emit_rm(e, E_W, OP0F(0xa3), H_R9, &(struct hmem){ H_VCPU, H_R10, 0, TLB_OFF(free) }); // bt
            slow[n++] = emit_short(e, 0x73);                         // jae
        }
        emit_hit(s, e, flags);
        while (n > 0)
            emit_land(e, slow[--n]);
    }
    if (flags)
        bt_restore_flags(s, e);
    emit_mov_ri(e, H_R9, size | (u32)write << 8);
    emit_jmp(e, s->missed);
    return check;
}

void bt_stubs_emit(struct bt_stubs *s, struct emit *e, const struct bt_callouts *c, bool lahf)
{
    *s = (struct bt_stubs){ .lahf = lahf };
    emit_resume(s, e, c->event);
    emit_enter_leave(s, e);
    s->lookup = callout(s, e, c->lookup, false);
    s->stale = callout(s, e, c->stale, true);
    s->slot = callout(s, e, c->slot, false);
    emit_probe(s, e);
    emit_align(e, 16);
    s->jump = emit_here(e);
    bt_jump_table(e, 4);
    s->link = callout(s, e, c->link, true);
    s->memory = callout(s, e, c->memory, true);
    s->missed = callout(s, e, c->missed, true);
    s->emulate = callout(s, e, c->emulate, true);
    s->signal = callout(s, e, c->signal, false);
    s->changed = callout(s, e, c->changed, true);
    // What lies at the top of the host stack: a guest return that no guest call in here matches.
    emit_align(e, 16);
    s->sentinel = emit_here(e);
    emit_rm(e, E_W, 0x8d, H_RSP, &(struct hmem){ H_RSP, -1, 0, -8 }); // lea rsp, [rsp-8]
    emit_jmp(e, s->jump);
    emit_align(e, 16);
    s->checks = emit_here(e);
    for (unsigned i = 0; i < 4 * BT_CHECK_SIZES; i++) {
        bool flags = i / BT_CHECK_SIZES & 1, write = i / BT_CHECK_SIZES & 2;
        unsigned n = i % BT_CHECK_SIZES;

        s->check[flags][write][n] = emit_check(s, e, flags, write, 1u << n);
    }
    s->end = emit_here(e);
}

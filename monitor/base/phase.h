// SPDX-License-Identifier: GPL-2.0-or-later
// What the monitor is doing, for the sampler behind -stats: one store where it changes. Guest code is not told
// by this but by where the host's program counter is.
#ifndef RING3_BASE_PHASE_H
#define RING3_BASE_PHASE_H

#define PHASE_LIST(X)                                                                        \
    X(GUEST, "guest code")                                                                   \
    X(STUBS, "in and out of guest code")                                                     \
    X(DISPATCH, "finding what runs next")                                                    \
    X(TRANSLATE, "translating")                                                              \
    X(LOOKUP, "callout: an indirect target")                                                 \
    X(LINK, "callout: a branch to be chained")                                               \
    X(MEMORY, "callout: a checked access that missed the TLB")                               \
    X(EMULATE, "callout: an instruction for the emulator")                                   \
    X(FAULT, "hidden faults and other host signals")                                         \
    X(EVENT, "callout: an event")                                                            \
    X(HOST_MAP, "host mapping calls")                                                        \
    X(INTERPRET, "interpreting")                                                             \
    X(DEVICES, "devices and the run loop")

enum phase {
#define X(id, help) PHASE_##id,
    PHASE_LIST(X)
#undef X
    PHASES
};

#endif

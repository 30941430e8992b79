// SPDX-License-Identifier: GPL-2.0-or-later
// Virtio over PCI: the legacy register block in ports (BAR 0) and the modern one in memory (BAR 4), for a
// device with up to VIRTIO_QUEUES queues. VIRTIO 1.1, section 4.1.
#ifndef RING3_MONITOR_DEV_VIRTIO_H
#define RING3_MONITOR_DEV_VIRTIO_H

#include "pci.h"
#include "virtqueue.h"

#define VIRTIO_QUEUES 4
#define VIRTIO_CONFIG 64

#define VIRTIO_F_INDIRECT (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

struct virtio;

struct virtio_ops {
    // The guest has put something into queue n.
    void (*notify)(struct virtio *v, unsigned n);
    // The guest resets the device: what is under way is forgotten.
    void (*reset)(struct virtio *v);
    // The guest wrote config[at..at+len). May be NULL.
    void (*config)(struct virtio *v, unsigned at, unsigned len);
};

struct virtio {
    struct pci_func func;
    const struct virtio_ops *ops;
    const struct board_host *host; // not owned
    u64 offered, features;         // features: what the driver took
    u8 status, isr, generation;
    u16 queue_select;
    u32 feature_select[2];         // device's, driver's
    struct virtqueue queue[VIRTIO_QUEUES];
    unsigned queues;
    u8 config[VIRTIO_CONFIG];      // device-specific
    u8 config_writable[VIRTIO_CONFIG];
    unsigned config_len;
};

// type: 2 block. devfn is the PCI function; class its 24-bit code. ops, queues, offered and config are set before
// the guest runs.
void virtio_init(struct virtio *v, const char *name, u8 devfn, u16 type, u32 class,
                 const struct virtio_ops *ops, const struct board_host *host);
void virtio_reset(struct virtio *v);
// Interrupts the guest for queue n if it wants that.
void virtio_signal(struct virtio *v, unsigned n);
// The device has found nonsense: it needs a reset.
void virtio_broken(struct virtio *v);

#endif

// SPDX-License-Identifier: GPL-2.0-or-later
#include "virtio.h"

#include <string.h>

#define STATUS_DRIVER_OK 0x04
#define STATUS_FEATURES_OK 0x08
#define STATUS_NEEDS_RESET 0x40
#define ISR_QUEUE 0x01
#define ISR_CONFIG 0x02
#define NO_VECTOR 0xffff // there is no MSI-X

// Places in the modern BAR, a page each.
enum { COMMON = 0x0000, ISR = 0x1000, DEVICE = 0x2000, NOTIFY = 0x3000, MODERN_LEN = 0x4000 };
#define LEGACY_LEN 128
#define LEGACY_CONFIG 0x14
#define LEGACY_ALIGN 4096

// ---- Common to both interfaces

static void update_intx(struct virtio *v)
{
    pci_intx(&v->func, v->isr != 0);
}

void virtio_signal(struct virtio *v, unsigned n)
{
    if (!(v->status & STATUS_DRIVER_OK) || !virtqueue_interrupts(&v->queue[n]))
        return;
    v->isr |= ISR_QUEUE;
    update_intx(v);
}

void virtio_broken(struct virtio *v)
{
    if (v->status & STATUS_NEEDS_RESET)
        return;
    v->status |= STATUS_NEEDS_RESET;
    v->isr |= ISR_CONFIG;
    update_intx(v);
}

void virtio_reset(struct virtio *v)
{
    v->ops->reset(v);
    for (unsigned n = 0; n < VIRTIO_QUEUES; n++) {
        v->queue[n].host = v->host;
        virtqueue_reset(&v->queue[n]);
    }
    v->features = 0;
    v->status = v->isr = 0;
    v->queue_select = 0;
    memset(v->feature_select, 0, sizeof(v->feature_select));
    update_intx(v);
}

static void set_status(struct virtio *v, u8 status)
{
    if (status == 0) {
        virtio_reset(v);
        return;
    }
    // Features that were not offered are no agreement.
    if (v->features & ~v->offered)
        status &= ~STATUS_FEATURES_OK;
    v->status = status | (v->status & STATUS_NEEDS_RESET);
    for (unsigned n = 0; n < VIRTIO_QUEUES; n++)
        v->queue[n].event_idx = v->features & VIRTIO_F_EVENT_IDX;
}

static void notify(struct virtio *v, unsigned n)
{
    if (n >= v->queues || !(v->func.config[PCI_COMMAND] & PCI_COMMAND_MASTER))
        return;
    v->ops->notify(v, n);
}

static u8 take_isr(struct virtio *v)
{
    u8 isr = v->isr;

    v->isr = 0;
    update_intx(v);
    return isr;
}

static struct virtqueue *selected(struct virtio *v)
{
    return v->queue_select < v->queues ? &v->queue[v->queue_select] : NULL;
}

static u64 config_read(const struct virtio *v, u32 at, unsigned size)
{
    u64 value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (u64)(at + i < v->config_len ? v->config[at + i] : 0) << (8 * i);
    return value;
}

static void config_write(struct virtio *v, u32 at, u64 value, unsigned size)
{
    for (unsigned i = 0; i < size && at + i < v->config_len; i++) {
        u8 mask = v->config_writable[at + i], byte = value >> (8 * i);

        v->config[at + i] = (v->config[at + i] & ~mask) | (byte & mask);
    }
    if (v->ops->config)
        v->ops->config(v, at, size);
}

// ---- Legacy: registers of one size each, at their own addresses

static void legacy_place(struct virtqueue *q, u32 page)
{
    q->ready = page != 0;
    q->desc = (u64)page << PAGE_SHIFT;
    q->avail = q->desc + 16ull * q->size;
    q->used = (q->avail + 4 + 2ull * q->size + 2 + LEGACY_ALIGN - 1) & ~(u64)(LEGACY_ALIGN - 1);
}

static u64 legacy_read(void *dev, u32 addr, unsigned size)
{
    struct virtio *v = dev;
    struct virtqueue *q = selected(v);

    if (addr >= LEGACY_CONFIG)
        return config_read(v, addr - LEGACY_CONFIG, size);
    switch (addr) {
    case 0x00:
        return (u32)v->offered;
    case 0x04:
        return (u32)v->features;
    case 0x08:
        return q ? q->desc >> PAGE_SHIFT : 0;
    case 0x0c:
        return q ? VIRTQUEUE_MAX : 0;
    case 0x0e:
        return v->queue_select;
    case 0x12:
        return v->status;
    case 0x13:
        return take_isr(v);
    default:
        return 0;
    }
}

static void legacy_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct virtio *v = dev;
    struct virtqueue *q = selected(v);

    if (addr >= LEGACY_CONFIG) {
        config_write(v, addr - LEGACY_CONFIG, value, size);
        return;
    }
    switch (addr) {
    case 0x04:
        v->features = value & v->offered & ~VIRTIO_F_VERSION_1;
        break;
    case 0x08:
        if (q && value) {
            q->size = VIRTQUEUE_MAX;
            legacy_place(q, value);
        } else if (q) { // page 0: a reset, to some drivers
            virtio_reset(v);
        }
        break;
    case 0x0e:
        v->queue_select = value;
        break;
    case 0x10:
        notify(v, value);
        break;
    case 0x12:
        set_status(v, value);
        break;
    }
}

static const struct bus_ops legacy_ops = { legacy_read, legacy_write, 4 };

// ---- Modern

static u32 common_read(struct virtio *v, u32 addr)
{
    const struct virtqueue *q = selected(v);

    switch (addr) {
    case 0x00:
        return v->feature_select[0];
    case 0x04:
        return v->feature_select[0] < 2 ? v->offered >> (32 * v->feature_select[0]) : 0;
    case 0x08:
        return v->feature_select[1];
    case 0x0c:
        return v->feature_select[1] < 2 ? v->features >> (32 * v->feature_select[1]) : 0;
    case 0x10:
        return NO_VECTOR;
    case 0x12:
        return v->queues;
    case 0x14:
        return v->status;
    case 0x15:
        return v->generation;
    case 0x16:
        return v->queue_select;
    case 0x18:
        return q ? q->size : 0;
    case 0x1a:
        return NO_VECTOR;
    case 0x1c:
        return q && q->ready;
    case 0x1e:
        return v->queue_select; // notify at this multiple of four
    case 0x20 ... 0x37:
        if (q) {
            u64 address = addr < 0x28 ? q->desc : addr < 0x30 ? q->avail : q->used;

            return address >> (addr & 4 ? 32 : 0);
        }
        return 0;
    default:
        return 0;
    }
}

static void put_half(u64 *to, u32 value, bool high)
{
    *to = high ? (*to & 0xffffffff) | (u64)value << 32 : (*to & ~0xffffffffull) | value;
}

static void common_write(struct virtio *v, u32 addr, u32 value)
{
    struct virtqueue *q = selected(v);

    switch (addr) {
    case 0x00:
        v->feature_select[0] = value;
        break;
    case 0x08:
        v->feature_select[1] = value;
        break;
    case 0x0c:
        if (v->feature_select[1] < 2 && !(v->status & STATUS_FEATURES_OK))
            put_half(&v->features, value, v->feature_select[1]);
        break;
    case 0x14:
        set_status(v, value);
        break;
    case 0x16:
        v->queue_select = value;
        break;
    case 0x18:
        if (q && !q->ready && value && value <= VIRTQUEUE_MAX && !(value & (value - 1)))
            q->size = value;
        break;
    case 0x1c:
        if (q)
            q->ready = value & 1;
        break;
    case 0x20 ... 0x37:
        if (q && !q->ready)
            put_half(addr < 0x28 ? &q->desc : addr < 0x30 ? &q->avail : &q->used, value, addr & 4);
        break;
    }
}

static u64 modern_read(void *dev, u32 addr, unsigned size)
{
    struct virtio *v = dev;

    if (addr < ISR) {
        u64 value = common_read(v, addr) & (~0ull >> (64 - 8 * MIN(size, 4u)));

        return size == 8 ? value | (u64)common_read(v, addr + 4) << 32 : value;
    }
    if (addr < DEVICE)
        return addr == ISR ? take_isr(v) : 0;
    return addr < NOTIFY ? config_read(v, addr - DEVICE, size) : 0;
}

static void modern_write(void *dev, u32 addr, u64 value, unsigned size)
{
    struct virtio *v = dev;

    if (addr < ISR) {
        common_write(v, addr, value);
        if (size == 8)
            common_write(v, addr + 4, value >> 32);
    } else if (addr >= NOTIFY) {
        notify(v, value & 0xffff);
    } else if (addr >= DEVICE) {
        config_write(v, addr - DEVICE, value, size);
    }
}

static const struct bus_ops modern_ops = { modern_read, modern_write, 8 };

// ---- The PCI function

// A vendor capability at `at`: which structure lies where in BAR 4.
static void add_capability(struct pci_func *f, u8 at, u8 next, u8 type, u32 offset, u32 len, u8 cap_len)
{
    u8 *c = f->power_on + at;

    c[0] = 0x09;
    c[1] = next;
    c[2] = cap_len;
    c[3] = type;
    c[4] = 4; // BAR
    pci_put32(f->power_on, at + 8, offset);
    pci_put32(f->power_on, at + 12, len);
    if (cap_len > 16)
        pci_put32(f->power_on, at + 16, 4); // notify address: queue number times this
}

void virtio_init(struct virtio *v, const char *name, u8 devfn, u16 type, u32 class,
                 const struct virtio_ops *ops, const struct board_host *host)
{
    struct pci_func *f = &v->func;

    memset(v, 0, sizeof(*v));
    v->ops = ops;
    v->host = host;
    v->queues = 1;
    v->offered = VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1;
    // A transitional device: 1000h to 103Fh with the type in the subsystem.
    pci_func_init(f, name, devfn, 0x1af4, 0x0fff + type, class, 0);
    pci_put16(f->power_on, PCI_SUBSYSTEM_VENDOR, 0x1af4);
    pci_put16(f->power_on, PCI_SUBSYSTEM, type);
    f->writable[PCI_COMMAND] |= PCI_COMMAND_MASTER;
    pci_func_pin(f, 1);
    pci_func_bar(f, 0, BUS_PORT, LEGACY_LEN, &legacy_ops, v);
    pci_func_bar(f, 4, BUS_MMIO, MODERN_LEN, &modern_ops, v);
    pci_put16(f->power_on, PCI_STATUS, 0x0010); // there is a list of capabilities
    f->power_on[0x34] = 0x40;
    add_capability(f, 0x40, 0x50, 1, COMMON, 0x1000, 16);
    add_capability(f, 0x50, 0x60, 3, ISR, 0x1000, 16);
    add_capability(f, 0x60, 0x70, 4, DEVICE, 0x1000, 16);
    add_capability(f, 0x70, 0, 2, NOTIFY, 0x1000, 20);
}

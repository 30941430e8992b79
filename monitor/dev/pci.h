// SPDX-License-Identifier: GPL-2.0-or-later
// The PCI bus: configuration mechanism 1, functions with their configuration space and BARs, and
// the INTx wires. There is one bus, number 0.
//
// Invariants
//  1. A BAR is on the monitor's bus exactly while its function decodes that space (command
//     register), its address is one a range can have, and nothing else is there; `mapped` says so.
#ifndef RING3_MONITOR_DEV_PCI_H
#define RING3_MONITOR_DEV_PCI_H

#include "monitor/base/bus.h"
#include "monitor/base/irq.h"
#include "monitor/base/log.h"

#define PCI_FUNCS 256
#define PCI_BARS 6
#define PCI_PIRQS 4

// Configuration header.
enum {
    PCI_VENDOR = 0x00, PCI_DEVICE = 0x02, PCI_COMMAND = 0x04, PCI_STATUS = 0x06,
    PCI_REVISION = 0x08, PCI_CLASS = 0x09, PCI_HEADER = 0x0e, PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR = 0x2c, PCI_SUBSYSTEM = 0x2e, PCI_LINE = 0x3c, PCI_PIN = 0x3d,
};
#define PCI_COMMAND_IO BIT(0)
#define PCI_COMMAND_MEMORY BIT(1)
#define PCI_COMMAND_MASTER BIT(2)
#define PCI_COMMAND_INTX_OFF BIT(10)
#define PCI_STATUS_INTX BIT(3)

struct pci;

struct pci_bar {
    enum bus_space space;
    u32 size;                  // a power of two; 0: no such BAR
    const struct bus_ops *ops;
    void *dev;
    u32 base;                  // where it is, while mapped
    bool mapped;
};

struct pci_func {
    const char *name;          // not owned
    u8 devfn;                  // device << 3 | function
    u8 config[256];
    u8 power_on[256];          // what reset puts into config
    u8 writable[256];          // bits of config the guest may set
    u8 clearable[256];         // bits it clears by writing ones
    struct pci_bar bar[PCI_BARS];
    // Called after the guest wrote config[at..at+len), and after a reset with at 0 and len 256. May
    // be NULL.
    void (*written)(void *opaque, unsigned at, unsigned len);
    void *opaque;
    struct pci *pci;
    bool intx;                 // what the function drives
};

struct pci {
    struct bus *bus;           // not owned
    struct log *log;
    struct pci_func *func[PCI_FUNCS]; // not owned
    u32 address;               // port CF8h
    u32 driving[PCI_PIRQS];    // bit per slot that drives the wire
    struct irq pirq[PCI_PIRQS]; // into the ISA bridge
    // Port CF9h lies inside the address register.
    u8 reset_control;
    void (*reset)(void *opaque);
    void (*init)(void *opaque); // of the CPU alone
    void *opaque;
};

extern const struct bus_ops pci_address_ops; // four ports: CF8h
extern const struct bus_ops pci_data_ops;    // four ports: CFCh

void pci_init(struct pci *pci, struct bus *bus, struct log *log);
void pci_reset(struct pci *pci);
void pci_print(const struct pci *pci, FILE *f);

// Fills in a function's header; class is the 24-bit class code. The rest is the caller's to set in
// power_on, writable and bar before pci_add.
void pci_func_init(struct pci_func *f, const char *name, u8 devfn, u16 vendor, u16 device,
                   u32 class, u8 revision);
// Declares BAR n; size is a power of two, at least 4 (ports) or 16 (MMIO).
void pci_func_bar(struct pci_func *f, unsigned n, enum bus_space space, u32 size,
                  const struct bus_ops *ops, void *dev);
// Declares that the function has INTA# (pin 1) to INTD# (4).
void pci_func_pin(struct pci_func *f, u8 pin);
void pci_func_writable(struct pci_func *f, unsigned at, unsigned len, u8 mask);
// Puts it on the bus. f lives as long as the bus.
void pci_add(struct pci *pci, struct pci_func *f);
// Takes all BARs off the monitor's bus.
void pci_remove(struct pci_func *f);
// Drives the function's interrupt pin.
void pci_intx(struct pci_func *f, bool level);
// Which PIRQ a device's pin (0: INTA#) arrives at.
unsigned pci_pirq(unsigned slot, unsigned pin);

static inline u16 pci_get16(const struct pci_func *f, unsigned at)
{
    return f->config[at] | f->config[at + 1] << 8;
}

static inline u32 pci_get32(const struct pci_func *f, unsigned at)
{
    return pci_get16(f, at) | (u32)pci_get16(f, at + 2) << 16;
}

static inline void pci_put16(u8 *config, unsigned at, u16 value)
{
    config[at] = value;
    config[at + 1] = value >> 8;
}

static inline void pci_put32(u8 *config, unsigned at, u32 value)
{
    pci_put16(config, at, value);
    pci_put16(config, at + 2, value >> 16);
}

#endif

// SPDX-License-Identifier: GPL-2.0-or-later
#include "walk.h"
#include "pte.h"

// What a walk has learnt from the entries so far.
struct path {
    struct walk *w;
    bool missing, reserved;
};

static bool nx_enabled(const struct vcpu *v)
{
    return v->cr4 & CR4_PAE && v->efer & EFER_NXE;
}

static void note_permissions(struct walk *w, u64 entry)
{
    w->user &= !!(entry & PTE_U);
    w->writable &= !!(entry & PTE_W);
    w->nx |= !!(entry & PTE_NX);
}

static void walk_identity(const struct phys *phys, gla_t gla, struct walk *w)
{
    *w = (struct walk){
        .gpa = phys_a20(phys, gla), .page_size = PAGE_SIZE, .user = true, .writable = true,
        .dirty = true, .pte_gpa = GPA_NONE, .pde_gpa = GPA_NONE,
    };
}

// Reads the tables down to the leaf. With `touch`, sets the accessed bit of a directory entry
// that leads to a table: hardware has done so by the time it reads the table, whatever it finds
// there.
static bool descend32(struct vcpu *v, struct phys *phys, gla_t gla, bool touch, struct path *path)
{
    struct walk *w = path->w;
    u32 pde, pte;

    w->pde_gpa = (v->cr3 & PAGE_MASK) + (gla >> 22) * 4;
    pde = pte_read(phys, false, w->pde_gpa);
    w->pde = pde;
    path->missing = !(pde & PTE_P);
    if (path->missing)
        return false;
    note_permissions(w, pde);
    if (pde & PTE_PS && v->cr4 & CR4_PSE) {
        w->page_size = 4u << 20;
        w->pte_gpa = w->pde_gpa;
        w->pte = pde;
        w->gpa = pde_large_gpa(false, pde) | (gla & 0x3fffff);
        path->reserved = pde & PDE4M_RESERVED;
        return !path->reserved;
    }
    if (touch && !(pde & PTE_A)) {
        w->pde = pde |= PTE_A;
        phys_write32(phys, w->pde_gpa, pde);
    }
    w->page_size = PAGE_SIZE;
    w->pte_gpa = (pde & PAGE_MASK) + (gla >> 12 & 0x3ff) * 4;
    pte = pte_read(phys, false, w->pte_gpa);
    w->pte = pte;
    path->missing = !(pte & PTE_P);
    if (path->missing)
        return false;
    note_permissions(w, pte);
    w->gpa = (pte & PAGE_MASK) | (gla & ~PAGE_MASK);
    return true;
}

static bool descend_pae(struct vcpu *v, struct phys *phys, gla_t gla, bool touch,
                        struct path *path)
{
    struct walk *w = path->w;
    u64 pdpte = v->pdpte[gla >> 30], reserved = PAE_RESERVED | (nx_enabled(v) ? 0 : PTE_NX);

    path->missing = !(pdpte & PTE_P);
    if (path->missing)
        return false;
    w->pde_gpa = (pdpte & PAE_ADDRESS) + (gla >> 21 & 0x1ff) * 8;
    w->pde = pte_read(phys, true, w->pde_gpa);
    path->missing = !(w->pde & PTE_P);
    if (path->missing)
        return false;
    note_permissions(w, w->pde);
    if (w->pde & PTE_PS) {
        w->page_size = 2u << 20;
        w->pte_gpa = w->pde_gpa;
        w->pte = w->pde;
        w->gpa = pde_large_gpa(true, w->pde) | (gla & 0x1fffff);
        path->reserved = w->pde & (reserved | PDE2M_RESERVED);
        return !path->reserved;
    }
    path->reserved = w->pde & reserved;
    if (path->reserved)
        return false;
    if (touch && !(w->pde & PTE_A)) {
        w->pde |= PTE_A;
        phys_write32(phys, w->pde_gpa, w->pde);
    }
    w->page_size = PAGE_SIZE;
    w->pte_gpa = (w->pde & PAE_ADDRESS) + (gla >> 12 & 0x1ff) * 8;
    w->pte = pte_read(phys, true, w->pte_gpa);
    path->missing = !(w->pte & PTE_P);
    if (path->missing)
        return false;
    note_permissions(w, w->pte);
    path->reserved = w->pte & reserved;
    if (path->reserved)
        return false;
    w->gpa = (w->pte & PAE_ADDRESS) | (gla & ~PAGE_MASK);
    return true;
}

static bool descend(struct vcpu *v, struct phys *phys, gla_t gla, bool touch, struct path *path)
{
    struct walk *w = path->w;
    bool found;

    *w = (struct walk){
        .page_size = PAGE_SIZE, .user = true, .writable = true,
        .pte_gpa = GPA_NONE, .pde_gpa = GPA_NONE,
    };
    if (v->cr4 & CR4_PAE)
        found = descend_pae(v, phys, gla, touch, path);
    else
        found = descend32(v, phys, gla, touch, path);
    if (!found)
        return false;
    w->gpa = phys_a20(phys, w->gpa);
    w->nx &= nx_enabled(v);
    w->global = w->pte & PTE_G && v->cr4 & CR4_PGE;
    w->dirty = w->pte & PTE_D;
    return true;
}

bool walk_allows(const struct vcpu *v, const struct walk *w, enum access access, bool user)
{
    if (user && !w->user)
        return false;
    if (access == ACC_WRITE)
        return w->writable || (!user && !(v->cr0 & CR0_WP));
    return access != ACC_FETCH || !w->nx;
}

bool walk(struct vcpu *v, struct phys *phys, gla_t gla, enum access access, bool user,
          struct walk *w, u32 *pferr)
{
    struct path path = { .w = w };
    u32 set = PTE_A | (access == ACC_WRITE ? PTE_D : 0);

    v->count.page_walks++;
    if (!(v->cr0 & CR0_PG)) {
        walk_identity(phys, gla, w);
        return true;
    }
    if (!descend(v, phys, gla, true, &path) || !walk_allows(v, w, access, user)) {
        *pferr = (path.missing ? 0 : PFERR_P) | (path.reserved ? PFERR_RSVD : 0) |
                 (user ? PFERR_U : 0) | (access == ACC_WRITE ? PFERR_W : 0) |
                 (access == ACC_FETCH && nx_enabled(v) ? PFERR_I : 0);
        return false;
    }
    if ((w->pte & set) != set) {
        w->pte |= set;
        phys_write32(phys, w->pte_gpa, w->pte); // A and D are in the low half of either format
        if (w->pte_gpa == w->pde_gpa)
            w->pde = w->pte;
        w->dirty |= access == ACC_WRITE;
    }
    return true;
}

bool walk_probe(struct vcpu *v, struct phys *phys, gla_t gla, struct walk *w)
{
    struct path path = { .w = w };

    if (!(v->cr0 & CR0_PG)) {
        walk_identity(phys, gla, w);
        return true;
    }
    return descend(v, phys, gla, false, &path);
}

bool walk_pdptes(struct phys *phys, u32 cr3, u64 pdpte[4])
{
    for (int i = 0; i < 4; i++) {
        pdpte[i] = pte_read(phys, true, (cr3 & ~0x1fu) + 8 * i);
        if (pdpte[i] & PTE_P && pdpte[i] & PDPTE_RESERVED)
            return false;
    }
    return true;
}

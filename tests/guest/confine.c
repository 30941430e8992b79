// SPDX-License-Identifier: GPL-2.0-or-later
// Runs a command as a container engine's default profile and an ordinary user have it: confine COMMAND ARGUMENT...
//
// No new privileges; nobody's user and group where we are root; a seccomp filter that answers EPERM to what such
// profiles (Docker's, Podman's) do not allow without capabilities, and ENOSYS to clone3, as the older ones do.
// Exit status 77 where the host has no seccomp.
#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int denied[] = {
    SYS_acct, SYS_add_key, SYS_bpf, SYS_clock_settime, SYS_create_module, SYS_delete_module,
    SYS_finit_module, SYS_get_mempolicy, SYS_init_module, SYS_ioperm, SYS_iopl, SYS_kcmp,
    SYS_kexec_file_load, SYS_kexec_load, SYS_keyctl, SYS_lookup_dcookie, SYS_mbind, SYS_mount,
    SYS_move_pages, SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_perf_event_open, SYS_personality,
    SYS_pivot_root, SYS_process_vm_readv, SYS_process_vm_writev, SYS_ptrace, SYS_quotactl, SYS_reboot,
    SYS_request_key, SYS_set_mempolicy, SYS_setns, SYS_settimeofday, SYS_swapoff, SYS_swapon,
    SYS_syslog, SYS_umount2, SYS_unshare, SYS_uselib, SYS_userfaultfd, SYS_ustat, SYS_vhangup,
    425, 426, 427, // io_uring
};

static int filter(void)
{
    enum { N = sizeof(denied) / sizeof(denied[0]) };
    struct sock_filter code[N + 8];
    struct sock_fprog prog = { .filter = code };
    unsigned n = 0;

    // i386 system calls are let through: ring3 makes none.
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 435, N + 1, 0); // clone3, to ENOSYS
    for (unsigned i = 0; i < N; i++)
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denied[i], N - i + 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    prog.len = n;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: confine COMMAND ARGUMENT...\n");
        return 2;
    }
    if (geteuid() == 0 && (setgroups(0, NULL) || setgid(65534) || setuid(65534))) {
        perror("confine: setuid");
        return 2;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || filter()) {
        fprintf(stderr, "confine: this host has no seccomp filters: %s\n", strerror(errno));
        return 77;
    }
    // That the filter bites is part of the test.
    if (syscall(SYS_userfaultfd, 0) != -1 || errno != EPERM || syscall(435, NULL, 0) != -1 || errno != ENOSYS) {
        fprintf(stderr, "confine: the filter lets calls through\n");
        return 2;
    }
    execvp(argv[1], argv + 1);
    fprintf(stderr, "confine: %s: %s\n", argv[1], strerror(errno));
    return 126;
}

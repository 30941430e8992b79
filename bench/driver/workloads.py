# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of workloads: what is run, in which group it counts, what it needs."""

import re
from dataclasses import dataclass, field

from programs import Unavailable, sources


@dataclass(frozen=True)
class Workload:
    group: str
    name: str
    kind: str  # self: measures itself; cmd: measured by `suite`; boot: by the driver
    argv: tuple = ()
    cpu: str = "pentium3"  # what a guest needs
    seconds: int = 120  # after which it has failed
    needs: str = ""  # a package set of the driver's (real programs)
    alone: bool = False  # one process, one thread: what it waits for a CPU is not its own doing

    @property
    def key(self):
        return f"{self.group}/{self.name}"


@dataclass
class Plan:
    """What one call measures: workloads, files to make before, rounds."""

    percent: int
    rounds: int
    workloads: list = field(default_factory=list)
    files: list = field(default_factory=list)  # of kind "file": standard output into a file, before all else

    def add(self, group, name, kind, *argv, **more):
        self.workloads.append(Workload(group, name, kind, tuple(str(a) for a in argv), **more))

    def add_file(self, name, *argv, needs=""):
        self.files.append(Workload("", name, "file", tuple(str(a) for a in argv), needs=needs))

    def list_text(self, needs, workloads):
        """What programs/suite.c reads: the files that a machine with `needs` makes, then its workloads."""
        files = [("\t".join((f.name, f.kind, str(f.seconds), *f.argv))) for f in self.files if f.needs in ("", needs)]
        return "\n".join([*files, *("\t".join((w.key, w.kind, str(w.seconds), *w.argv)) for w in workloads)]) + "\n"


NEEDS_MAX = {"matmul_sse2", "copy_sse2"}  # SSE2, which a pentium3 lacks


PROMPT = b"ring3:/root# "  # of the shell in make-initramfs' image
LOGIN = b"ring3 login: "  # of the Debian on make-debian-disk's disk, on its serial line


def boot(plan):
    """To the shell of a small initramfs; from a disk, through firmware, GRUB and systemd, to a login."""
    plan.add("boot", "shell", "boot")
    plan.add("boot", "debian", "boot", seconds=400)


def busybox(plan):
    """What a shell's first steps are made of: loops, filters, processes."""
    p = plan.percent
    plan.add_file("text", "bin/gen", 40000 * p)
    plan.add("real", "sh_loop", "cmd", "bin/busybox", "sh", "-c",
             f"i=0; while [ $i -lt {2000 * p} ]; do i=$((i+1)); done; echo $i", alone=True)
    plan.add("real", "sha256", "cmd", "bin/busybox", "sha256sum", *(["text"] * 10), alone=True)
    plan.add("real", "busybox_gzip", "cmd", "bin/busybox", "gzip", "-9", "-c", "text", alone=True)


WORK = re.compile(r'^ +\{"(\w+)", \w+, \d+\},$', re.MULTILINE)  # an entry of a `struct work` table


def program(plan, group):
    """All works of a self-timed program. Its sources name them: not every host can run it and ask (-l)."""
    names = [name for path in sources(group) for name in WORK.findall(path.read_text())]
    if not names:
        raise Unavailable(f"the sources of the program {group} hold no works")
    for name in names:
        plan.add(group, name, "self", f"bin/{group}", name, plan.percent,
                 cpu="max" if name in NEEDS_MAX else "pentium3", alone=group != "kernel")

# SPDX-License-Identifier: GPL-2.0-or-later
"""What looking inside costs: the CPU time of one guest's whole life with -stats, -folded and the like, against without."""

import json
import pathlib
import statistics
import tempfile

import machines
import programs
import report
from workloads import Plan, busybox, program

WORKS = ("user/interpreter", "user/sort", "kernel/fork_exec", "kernel/null_sysenter", "kernel/pipe", "code/rewrite",
         "real/sh_loop")
MUST = 0.02  # of -stats
LEFT_BEHIND = ("/tmp/perf-{}.map", "/tmp/jit-{}.dump")


class Study:
    def __init__(self, ring3, args, cache, built, work):
        self.ring3, self.kernel = ring3, cache / "vmlinuz-686"
        self.image = programs.guest_image(programs.make_tree(work / "tree", built, cache / "busybox"))
        self.plan = Plan(percent=args.percent or 50, rounds=1)
        for group in ("user", "kernel", "code"):
            program(self.plan, group)
        busybox(self.plan)
        self.plan.workloads = [w for w in self.plan.workloads if w.key in WORKS]

    def seconds(self, options):
        """The CPU time of all threads of a guest that boots and runs the works."""
        guest = machines.Guest("ring3", [self.ring3, *options], self.kernel, {"": self.image}, 256, programs.list_image)
        session = guest.session(self.plan, "pentium3", "", self.plan.workloads)
        try:
            for workload in self.plan.workloads:
                sample = session.run(workload)
                if sample.error:
                    raise programs.Unavailable(f"{workload.key} with {' '.join(options)}: {sample.error}")
            spent = sum(run for run, _ in session.process.threads().values()) / 1e9
            for name in LEFT_BEHIND:
                pathlib.Path(name.format(session.process.child.pid)).unlink(missing_ok=True)
            return spent
        finally:
            session.close()


def run(ring3, args, cache, built, folder):
    with tempfile.TemporaryDirectory(prefix="ring3-overhead") as work:
        work = pathlib.Path(work)
        study = Study(ring3, args, cache, built, work)
        ways = {"nothing": [], "-stats": ["-stats"], "-folded": ["-folded", str(work / "folded")], "-perfmap": ["-perfmap"],
                "-jitdump": ["-jitdump"], "-hot": ["-hot", "10", "-D", str(work / "hot")]}
        spent = {way: [] for way in ways}
        for _ in range(args.rounds or 5):
            for way, options in ways.items():
                spent[way].append(study.seconds(options))
    base = min(spent["nothing"])
    lines = [["CPU time, s", "least", "median", "least, more", ""]]
    lines += [[way, f"{min(times):.3f}", f"{statistics.median(times):.3f}", f"{100 * (min(times) / base - 1):+.1f}%", ""]
              for way, times in spent.items()]
    print(report.align(lines))
    more = min(spent["-stats"]) / base - 1
    print(f"-stats takes {100 * more:.1f}% more (must be under {100 * MUST:g}%): {'fine' if more < MUST else 'MISSED'}")
    (folder / "overhead.json").write_text(json.dumps(spent, indent=1) + "\n")
    print(f"overhead.json is in {folder}")
    return 0

# SPDX-License-Identifier: GPL-2.0-or-later
"""How time and memory grow with guest RAM, with address spaces, with the code that is hot, and with guests on a host."""

import json
import pathlib
import re
import tempfile
import time

import machines
import plots
import programs
from workloads import PROMPT, Plan

MIB = 1 << 20
INSIDE = 512  # MiB of RAM of the guests in which address spaces and code are counted


def own_memory(pid):
    """(the monitor's own memory, pages of guest RAM), in bytes of proportional set size. Guest RAM is the memfd that the
    windows map; everything else, what the kernel keeps for its page tables included, is the monitor's."""
    own = ram = 0
    name = ""
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            name = line.split(maxsplit=5)[5] if len(line.split(maxsplit=5)) > 5 else ""
        elif line.startswith("Pss:"):
            size = int(line.split()[1]) << 10
            if "memfd:ring3-guest" in name:
                ram += size
            else:
                own += size
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmPTE:"):
            own += int(line.split()[1]) << 10
    return own, ram


def cpu_seconds(process):
    return sum(run for run, _ in process.threads().values()) / 1e9


class Study:
    def __init__(self, ring3, cache, built, work):
        self.work, self.kernel = work, cache / "vmlinuz-686"
        tree = programs.make_tree(work / "tree", built, cache / "busybox")
        self.image = programs.guest_image(tree)
        self.machine = machines.Guest("ring3", [ring3], self.kernel, {"": self.image}, 256, programs.list_image)
        self.boot_image = programs.shell_image(work / "boot", cache / "busybox")

    def boot(self, memory):
        """A guest at its shell, and the seconds that it took, less the waiting for a CPU."""
        begin = time.monotonic()
        process = machines.Process(self.machine.arguments("pentium3", self.boot_image, "console=ttyS0 quiet", memory))
        while PROMPT not in process.buffer:
            if not process.read(begin + 120):
                raise programs.Unavailable(f"a guest with {memory} MiB does not boot: {process.buffer[-200:]!r}")
        wall = time.monotonic() - begin
        return process, wall - min(machines.busiest_delay({}, process.threads()), 0.9 * wall)

    def inside(self, memory, works):
        """Runs works in one guest: [(sample, own memory)]"""
        plan = Plan(percent=1, rounds=1)
        for name, argv in works:
            plan.add("scale", name, "self", *argv)
        self.machine.memory = memory
        session = self.machine.session(plan, "pentium3", "", plan.workloads)
        try:
            for w in plan.workloads:
                sample = session.run(w)
                yield sample, own_memory(session.process.child.pid)[0] if session.process else 0
        finally:
            session.close()


def against_ram(study, say):
    """Start-up, memory and idle load against guest RAM."""
    rows = []
    for memory in (8, 16, 48, 64, 128, 256, 512, 1024, 2048, 3072):
        if memory < 48:  # too little for Debian's kernel: the nano guest's start tells what the monitor takes
            elf = programs.compile_nano(study.work)
            begin = time.monotonic()
            process = machines.Process([*study.machine.command, "-kernel", elf, "-m", str(memory), "-nographic", "-no-reboot"])
            while b"@nano" not in process.buffer and process.read(begin + 60):
                pass
            seconds, idle = time.monotonic() - begin, None
            own, _ = own_memory(process.child.pid)
        else:
            process, seconds = study.boot(memory)
            time.sleep(1)
            before, begin = cpu_seconds(process), time.monotonic()
            time.sleep(3)
            idle = (cpu_seconds(process) - before) / (time.monotonic() - begin)
            own, _ = own_memory(process.child.pid)
        process.close()
        rows.append({"ram": memory, "seconds": seconds, "own": own, "idle": idle})
        say(f"{memory:6} MiB of RAM: started in {seconds:6.2f} s; {own / MIB:6.1f} MiB of its own"
            + (f"; idle {100 * idle:.2f}% of a CPU" if idle is not None else " (a small guest)"))
    return rows


def against_spaces(study, say):
    counts = (1, 10, 30, 100, 200, 300, 500, 1000)
    rows = []
    for n, (sample, own) in zip(counts, study.inside(INSIDE, [(f"spaces{n}", ("bin/scale", "spaces", n)) for n in counts])):
        rows.append({"spaces": n, "ns": None if sample.error else sample.raw_ns, "own": own, "error": sample.error})
        say(f"{n:6} address spaces: {sample.error or f'{sample.raw_ns:8} ns a turn'}; {own / MIB:6.1f} MiB")
    return rows


def against_code(study, say):
    sizes = (64, 256, 1024, 4096, 8192, 16384, 32768, 65536)
    rows = []
    for n, (sample, own) in zip(sizes, study.inside(INSIDE, [(f"code{n}", ("bin/scale", "code", n)) for n in sizes])):
        rows.append({"kib": n, "ns": None if sample.error else sample.raw_ns, "own": own, "error": sample.error})
        say(f"{n:6} KiB of hot code: {sample.error or f'{sample.raw_ns:6} ns a call'}; {own / MIB:6.1f} MiB")
    return rows


def against_guests(study, say):
    """Idle guests, 64 MiB each: CPU and memory of all. Then busy ones: the time that a fixed work takes in each."""
    rows, running = [], []
    try:
        for n in (1, 2, 4, 8, 16, 32, 64):
            while len(running) < n:
                running.append(study.boot(64)[0])
            time.sleep(2)
            before, begin = sum(map(cpu_seconds, running)), time.monotonic()
            time.sleep(5)
            load = (sum(map(cpu_seconds, running)) - before) / (time.monotonic() - begin)
            own = sum(own_memory(p.child.pid)[0] for p in running)
            rows.append({"guests": n, "load": load, "own": own})
            say(f"{n:6} idle guests: {100 * load:6.2f}% of a CPU, {100 * load / n:.2f}% each; {own / n / MIB:6.1f} MiB each")
    finally:
        for process in running:
            process.close()
    return rows, against_busy(study, say)


def against_busy(study, say):
    work = b"i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo don''e\n"
    rows = []
    for n in (1, 2, 3, 4):
        guests = [study.boot(64)[0] for _ in range(n)]
        try:
            begin = time.monotonic()
            for guest in guests:
                guest.buffer = b""
                guest.say(work.decode())
            for guest in guests:
                while b"done" not in guest.buffer and guest.read(begin + 120):
                    pass
            seconds = time.monotonic() - begin
        finally:
            for guest in guests:
                guest.close()
        rows.append({"guests": n, "seconds": seconds})
        say(f"{n:6} busy guests: done after {seconds:6.2f} s")
    return rows


def judge(ram, spaces, code, idle):
    """What breaks the bars."""
    lines = []
    taken = [(f"{r['ram']} MiB of RAM", r["ram"], r["own"]) for r in ram]
    taken += [(f"{r['spaces']} address spaces", INSIDE, r["own"]) for r in spaces]
    taken += [(f"{r['kib']} KiB of hot code", INSIDE, r["own"]) for r in code]
    for what, memory, own in taken:
        bar = 64 + 0.03 * memory
        if own > bar * MIB:
            lines.append(f"MISSED: with {what} the monitor takes {own / MIB:.1f} MiB, must be {bar:.1f}")
    for r in ram:
        if r["idle"] is not None and r["idle"] > 0.005:
            lines.append(f"MISSED: with {r['ram']} MiB idle takes {100 * r['idle']:.2f}% of a CPU, must be 0.5%")
    lines += [f"MISSED: {r['guests']} idle guests take {100 * r['load'] / r['guests']:.2f}% of a CPU each, must be 0.5%"
              for r in idle if r["load"] / r["guests"] > 0.005]
    return lines or ["memory is below 64 MiB + 3% of RAM, and idle guests take less than 0.5% of a CPU, everywhere"]


def run(ring3, args, cache, built, folder):
    del args

    def say(text):
        print(text, flush=True)

    with tempfile.TemporaryDirectory(prefix="ring3-scaling") as work:
        study = Study(ring3, cache, built, pathlib.Path(work))
        ram = against_ram(study, say)
        spaces = against_spaces(study, say)
        code = against_code(study, say)
        idle, busy = against_guests(study, say)
    verdict = judge(ram, spaces, code, idle)
    for line in verdict:
        say(line)
    (folder / "scaling.json").write_text(json.dumps(
        {"ram": ram, "spaces": spaces, "code": code, "idle guests": idle, "busy guests": busy, "verdict": verdict},
        indent=1) + "\n")
    plots.curves(folder / "scaling-ram", "against guest RAM", ("MiB of guest RAM", "MiB of the monitor's own; s"),
                 {"memory": [(r["ram"], r["own"] / MIB) for r in ram], "start-up": [(r["ram"], r["seconds"]) for r in ram],
                  "64 MiB + 3%": [(r["ram"], 64 + 0.03 * r["ram"]) for r in ram]})
    plots.curves(folder / "scaling-spaces", "address spaces that take turns", ("address spaces", "ns a turn; MiB"),
                 {"time": [(r["spaces"], r["ns"]) for r in spaces if r["ns"]],
                  "memory": [(r["spaces"], r["own"] / MIB) for r in spaces]})
    plots.curves(folder / "scaling-code", "distinct hot code", ("KiB of guest code", "ns a call; MiB"),
                 {"time": [(r["kib"], r["ns"]) for r in code if r["ns"]], "memory": [(r["kib"], r["own"] / MIB) for r in code]})
    plots.curves(folder / "scaling-guests", "guests on one host", ("guests", "% of a CPU, all; MiB, each"),
                 {"idle load": [(r["guests"], 100 * r["load"]) for r in idle],
                  "memory": [(r["guests"], r["own"] / r["guests"] / MIB) for r in idle]})
    plots.curves(folder / "scaling-busy", "busy guests", ("guests", "s for the work of each"),
                 {"time": [(r["guests"], r["seconds"]) for r in busy]}, logarithmic="")
    say(f"scaling.json and the plots are in {folder}")
    return 0

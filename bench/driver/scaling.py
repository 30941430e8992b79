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


def less_waiting(sample):
    """The nanoseconds of one operation, less the share of the time in which the guest waited for a CPU."""
    return None if sample.error else round(sample.raw_ns * (1 - min(0.9, sample.delay / max(sample.wall, 1e-9))))


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
            time.sleep(2)
            before, begin = cpu_seconds(process), time.monotonic()
            time.sleep(4)
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
        rows.append({"spaces": n, "ns": less_waiting(sample), "own": own, "error": sample.error})
        say(f"{n:6} address spaces: {sample.error or f'{less_waiting(sample):8} ns a turn'}; {own / MIB:6.1f} MiB")
    return rows


def against_code(study, say):
    sizes = (64, 256, 1024, 4096, 8192, 16384, 32768, 65536)
    rows = []
    for n, (sample, own) in zip(sizes, study.inside(INSIDE, [(f"code{n}", ("bin/scale", "code", n)) for n in sizes])):
        rows.append({"kib": n, "ns": less_waiting(sample), "own": own, "error": sample.error})
        say(f"{n:6} KiB of hot code: {sample.error or f'{less_waiting(sample):6} ns a call'}; {own / MIB:6.1f} MiB")
    return rows


def against_guests(study, say):
    """Idle guests, 64 MiB each: CPU and memory of all."""
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
    return rows


def against_busy(study, say):
    """Busy guests: when all have done a work of the same size each."""
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
                while b"\ndone" not in guest.buffer and guest.read(begin + 120):
                    pass
            seconds = time.monotonic() - begin
        finally:
            for guest in guests:
                guest.close()
        rows.append({"guests": n, "seconds": seconds})
        say(f"{n:6} busy guests: done after {seconds:6.2f} s")
    return rows


def allowed(ram):
    """MiB that the monitor may take with so many MiB of guest RAM."""
    return 64 + 0.03 * ram


def judge(ram=(), spaces=(), code=(), guests=(), busy=()):
    """What breaks the bars."""
    del busy
    lines = []
    taken = [(f"{r['ram']} MiB of RAM", r["ram"], r["own"]) for r in ram]
    taken += [(f"{r['spaces']} address spaces", INSIDE, r["own"]) for r in spaces]
    taken += [(f"{r['kib']} KiB of hot code", INSIDE, r["own"]) for r in code]
    for what, memory, own in taken:
        if own > allowed(memory) * MIB:
            lines.append(f"MISSED: with {what} the monitor takes {own / MIB:.1f} MiB, must be {allowed(memory):.1f}")
    for r in ram:
        if r["idle"] is not None and r["idle"] > 0.005:
            lines.append(f"MISSED: with {r['ram']} MiB idle takes {100 * r['idle']:.2f}% of a CPU, must be 0.5%")
    lines += [f"MISSED: {r['guests']} idle guests take {100 * r['load'] / r['guests']:.2f}% of a CPU each, must be 0.5%"
              for r in guests if r["load"] / r["guests"] > 0.005]
    return lines or ["memory is below 64 MiB + 3% of RAM, and idle guests take less than 0.5% of a CPU, wherever measured"]


def plot(folder, results):
    """A plot of each study that was made."""
    def points(rows, x, y, scale=1):
        return [(r[x], r[y] / scale) for r in rows if r[y] is not None]

    for name, rows in results.items():
        path = folder / f"scaling-{name}"
        if name == "ram":
            plots.curves(path, "against guest RAM", ("MiB of guest RAM", "s to start", "MiB of the monitor's own"),
                         {"start-up": points(rows, "ram", "seconds")},
                         {"memory": points(rows, "ram", "own", MIB),
                          "64 MiB + 3%": [(r["ram"], allowed(r["ram"])) for r in rows]})
        elif name == "spaces":
            plots.curves(path, "address spaces that take turns", ("address spaces", "ns a turn", "MiB of the monitor's own"),
                         {"time": points(rows, "spaces", "ns")}, {"memory": points(rows, "spaces", "own", MIB)})
        elif name == "code":
            plots.curves(path, "distinct hot code", ("KiB of guest code", "ns a call", "MiB of the monitor's own"),
                         {"time": points(rows, "kib", "ns")}, {"memory": points(rows, "kib", "own", MIB)})
        elif name == "guests":
            plots.curves(path, "idle guests on one host", ("guests", "% of a CPU, all", "MiB of each monitor's own"),
                         {"idle load": points(rows, "guests", "load", 0.01)},
                         {"memory": [(r["guests"], r["own"] / r["guests"] / MIB) for r in rows]})
        elif name == "busy":
            plots.curves(path, "busy guests on one host", ("guests", "s for the work of each"),
                         {"time": points(rows, "guests", "seconds")}, logarithmic=False)


STUDIES = {"ram": against_ram, "spaces": against_spaces, "code": against_code, "guests": against_guests, "busy": against_busy}


def run(ring3, args, cache, built, folder):
    def say(text):
        print(text, flush=True)

    unknown = set(args.only) - set(STUDIES)
    if unknown:
        raise programs.Unavailable(f"no study is called {' or '.join(unknown)}: {', '.join(STUDIES)}")
    with tempfile.TemporaryDirectory(prefix="ring3-scaling") as work:
        study = Study(ring3, cache, built, pathlib.Path(work))
        results = {name: function(study, say) for name, function in STUDIES.items() if not args.only or name in args.only}
    verdict = judge(**results)
    for line in verdict:
        say(line)
    (folder / "scaling.json").write_text(json.dumps({**results, "verdict": verdict}, indent=1) + "\n")
    plot(folder, results)
    say(f"scaling.json and the plots are in {folder}")
    return 0

# SPDX-License-Identifier: GPL-2.0-or-later
"""Rounds of workloads on several machines that take turns, and the bar that shows how far they are."""

import sys
import time

import programs


class Progress:
    """A bar on the terminal, or nothing where there is none."""

    def __init__(self, total):
        self.total, self.count, self.begin = total, 0, time.monotonic()
        self.shown = sys.stderr.isatty()

    def step(self, text):
        self.show(text)
        self.count += 1

    def show(self, text):
        if not self.shown:
            return
        full = min(30, 30 * self.count // max(1, self.total))
        spent = time.monotonic() - self.begin
        left = f"{spent / self.count * (self.total - self.count):.0f} s left" if self.count else ""
        print(f"\r[{'#' * full}{'.' * (30 - full)}] {self.count}/{self.total} {left:>11} {text:<32.32}",
              end="", file=sys.stderr, flush=True)

    def end(self):
        if self.shown:
            print("\r" + " " * 79 + "\r", end="", file=sys.stderr, flush=True)


def turns(runners, number):
    """Who goes first changes: what a machine leaves in the host's caches is not always the same one's gain."""
    at = number % max(1, len(runners))
    return runners[at:] + runners[:at]


def who_boots(runners):
    """Those that can be started with a system of one's choice."""
    return [r for r in runners if hasattr(r, "boot")]


def able(runners, workload):
    """Those that can run it."""
    return [r for r in runners if getattr(r, "works", None) is None or workload.key in r.works]


def measure(plan, runners, boots, progress):
    """{machine: {workload: [Sample]}}; interrupted, what there is until then."""
    samples = {r.name: {} for r in runners}
    try:
        rounds(plan, runners, boots, progress, samples)
    except KeyboardInterrupt:
        print("interrupted: these are the results so far", file=sys.stderr)
    return samples


def rounds(plan, runners, boots, progress, samples):
    """Adds a sample a round. `boots`: {workload: Boot}. A workload runs on one machine after the other before the next
    one's turn, so that what else the host does meets all of them; a round starts each guest anew."""
    def note(machine, workload, sample):
        samples[machine.name].setdefault(workload.key, []).append(sample)

    guests = who_boots(runners)
    for number in range(plan.rounds):
        for w in [w for w in plan.workloads if w.kind == "boot"]:
            for guest in turns(guests, number) if guests else []:
                progress.step(f"{number + 1}: {w.key}, {guest.name}")
                note(guest, w, guest.boot(boots[w.name], w.seconds))
        inside = [w for w in plan.workloads if w.kind != "boot"]
        for cpu, needs in sorted({(w.cpu, w.needs) for w in inside}):
            chosen = [w for w in inside if (w.cpu, w.needs) == (cpu, needs)]
            sessions = {r.name: r.session(plan, cpu, needs, chosen) for r in runners}
            try:
                for turn, w in enumerate(chosen):
                    for runner in turns(able(runners, w), number + turn):
                        progress.step(f"{number + 1}: {w.key}, {runner.name}")
                        note(runner, w, sessions[runner.name].run(w))
            finally:
                for session in sessions.values():
                    session.close()


def measure_nano(plan, runners, folder, progress):
    """Cycles of single operations: {machine: {name: [cycles]}}."""
    elf = programs.compile_nano(folder)
    results = {r.name: {} for r in runners}
    for _ in range(plan.rounds):
        for runner in runners:
            progress.step(f"nano, {runner.name}")
            for name, cycles in runner.nano(elf).items():
                results[runner.name].setdefault(name, []).append(cycles)
    return results


def session_totals(samples):
    """The share of the time in which machines waited for a CPU: how busy the host was otherwise."""
    all_samples = [s for by_key in samples.values() for runs in by_key.values() for s in runs if s.wall]
    wall = sum(s.wall for s in all_samples)
    return sum(s.delay for s in all_samples) / wall if wall else 0.0


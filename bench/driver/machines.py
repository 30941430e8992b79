# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs lists of workloads: natively, in ring3, in QEMU. Reads the reports of programs/suite.c."""

import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass


@dataclass
class Sample:
    """One measurement, or why there is none."""

    ns: int = 0
    checksum: str = ""
    wall: float = 0.0  # seconds between the markers, as the host saw them; 0 where that means nothing
    error: str = ""


def list_text(files, workloads):
    lines = ["\t".join((name, "file", "120", *argv)) for name, argv in files]
    lines += ["\t".join((w.key, w.kind, str(w.seconds), *w.argv)) for w in workloads]
    return "\n".join(lines) + "\n"


class Report:
    """Collects what `suite` says, line by line."""

    def __init__(self):
        self.samples = {}
        self.current = None
        self.began = 0.0
        self.ended = None  # when the @end of a line came that is not complete yet
        self.started = self.done = False

    def line(self, text, when):
        words = text.split()
        if not words or not words[0].startswith("@"):
            return
        if words[0] == "@start":
            self.started = True
        elif words[0] == "@begin" and len(words) == 2:
            self.current, self.began = words[1], when
        elif words[0] == "@end" and len(words) == 4 and words[1] == self.current:
            self.samples[words[1]] = Sample(int(words[2]), words[3], (self.ended or when) - self.began)
            self.current = None
        elif words[0] == "@fail" and len(words) >= 2:
            self.samples[words[1]] = Sample(error=" ".join(words[2:]))
            self.current = None
        elif words[0] == "@done":
            self.done = True


def follow(command, report, seconds, on_line=None, environment=None):
    """Runs `command`, feeding its output to the report. Returns (status or None on a time-out, last lines)."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True, env=environment)
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    buffer, tail, limit = b"", [], time.monotonic() + seconds
    try:
        while True:
            if not selector.select(max(0, limit - time.monotonic())):
                return None, tail
            data = os.read(process.stdout.fileno(), 65536)
            when = time.monotonic()
            if not data:
                process.wait(timeout=30)
                return process.returncode, tail
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace").strip()
                tail = tail[-80:] + [text]
                before = report.current
                report.line(text, when)
                if on_line and before != report.current:
                    on_line(report)
                report.ended = None
            if buffer.startswith(b"@end") and report.ended is None:
                report.ended = when
    except subprocess.TimeoutExpired:
        return None, tail
    finally:
        selector.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdin.close()
        process.stdout.close()


def last_words(tail):
    """The lines that say most about a machine's end."""
    telling = [t for t in tail if "panic" in t or "ring3:" in t or "Oops" in t or "BUG" in t]
    return " / ".join((telling or [t for t in tail if t and not t.startswith("@")])[-3:])


def run_all(start, workloads, tick, environment=None):
    """Runs the workloads, starting anew behind one that ends the machine. start(left) gives a command and a limit."""
    samples, left, tail = {}, list(workloads), []
    while left:
        report = Report()
        command, seconds = start(left)
        status, tail = follow(command, report, seconds, lambda r: r.current or tick(), environment)
        samples.update(report.samples)
        missing = [w for w in left if w.key not in report.samples]
        if not missing:
            break
        why = "did not answer" if status is None else f"ended with status {status}"
        error = f"the machine {why}: {last_words(tail)}"
        if not report.started:
            samples.update((w.key, Sample(error=error)) for w in missing)
            break
        culprit = report.current or missing[0].key
        samples[culprit] = Sample(error=error)
        tick()
        left = [w for w in missing if w.key != culprit]
    return samples


# Libraries choose functions by the CPU's features. Programs are to run the code that they would run in a guest.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C",
    "OPENSSL_CONF": "/dev/null",
    "OPENSSL_ia32cap": "0:0",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-SSE2,-SSSE3,-SSE4_1,-SSE4_2,-AVX2,-AVX,-AVX512F,-ERMS,-FSRM",
}


class Native:
    name = "native"

    def __init__(self, tree):
        self.tree = tree

    def run(self, plan, workloads, tick):
        def start(left):
            (self.tree / "list").write_text(list_text(plan.files, left))
            return [self.tree / "bin" / "suite", self.tree], 60 + sum(w.seconds for w in left)

        return run_all(start, workloads, tick, ENVIRONMENT)


class Guest:
    """ring3 or QEMU: both understand the same options. `images`: the initramfs for each set of programs."""

    def __init__(self, name, command, kernel, images, memory, list_image):
        self.name, self.command, self.kernel, self.images = name, command, kernel, images
        self.memory, self.list_image = memory, list_image

    def arguments(self, cpu, initrd, append, memory):
        return [*self.command, "-kernel", self.kernel, "-initrd", initrd, "-append", append, "-m", str(memory),
                "-cpu", cpu, "-nographic", "-no-reboot"]

    def run(self, plan, workloads, tick):
        samples = {}
        for cpu, needs in sorted({(w.cpu, w.needs) for w in workloads}):
            chosen = [w for w in workloads if (w.cpu, w.needs) == (cpu, needs)]
            with tempfile.NamedTemporaryFile(prefix="bench-initrd") as initrd:
                def start(left, cpu=cpu, needs=needs, initrd=initrd):
                    initrd.seek(0)
                    initrd.truncate()
                    initrd.write(self.images[needs] + self.list_image(list_text(plan.files, left)))
                    initrd.flush()
                    return (self.arguments(cpu, initrd.name, "console=ttyS0 quiet loglevel=1 panic=-1",
                                           max(self.memory, 768) if needs else self.memory),
                            180 + sum(w.seconds for w in left))

                samples.update(run_all(start, chosen, tick))
        return samples

    def nano(self, elf):
        """{name: cycles} of the guest in bench/nano; empty if it failed."""
        command = [*self.command, "-kernel", elf, "-m", "32", "-cpu", "pentium3", "-nographic", "-no-reboot"]
        try:
            output = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60).stdout
        except subprocess.TimeoutExpired as late:
            output = late.stdout or b""
        return {name.decode(): float(cycles) for name, cycles in re.findall(rb"@nano (\w+) ([0-9.]+)", output)}

    def boot(self, initrd, prompt, seconds):
        """The time until the shell's prompt."""
        process = subprocess.Popen(self.arguments("pentium3", initrd, "console=ttyS0", self.memory),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        begin, output = time.monotonic(), b""
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                while prompt not in output:
                    left = begin + seconds - time.monotonic()
                    if left <= 0 or not selector.select(left):
                        return Sample(error=f"no shell within {seconds} s")
                    data = os.read(process.stdout.fileno(), 65536)
                    if not data:
                        return Sample(error="the machine ended with status "
                                            f"{process.wait()}: {output[-200:].decode(errors='replace')}")
                    output += data
                return Sample(ns=int((time.monotonic() - begin) * 1e9), checksum="shell")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            process.stdin.close()
            process.stdout.close()

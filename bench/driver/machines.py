# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines that run workloads one at a time, as programs/suite.c is told: natively, in ring3, QEMU, Bochs."""

import os
import pathlib
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

    ns: int = 0  # less what the machine waited for a CPU
    checksum: str = ""
    raw_ns: int = 0  # as the machine's own clock has it
    wall: float = 0.0  # seconds between the markers, as the host saw them; 0 where that means nothing
    delay: float = 0.0  # seconds of it in which the machine's busiest thread waited for a CPU
    error: str = ""


@dataclass
class Boot:
    """A system whose start is a workload: a guest's options, and what it says when it is there."""

    arguments: list
    prompt: bytes


def last_words(tail):
    """The lines that say most about a machine's end."""
    telling = [t for t in tail if "panic" in t or "ring3:" in t or "Oops" in t or "BUG" in t]
    return " / ".join((telling or [t for t in tail if t and not t.startswith("@")])[-3:])


class Process:
    """A child with a line of output at a time. Ends with its object."""

    def __init__(self, command, environment=None):
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, start_new_session=True, env=environment)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.child.stdout, selectors.EVENT_READ)
        self.buffer, self.tail = b"", []

    def read(self, until):
        """Appends what comes to the buffer. False at the end of the output or of the time."""
        if not self.selector.select(max(0, until - time.monotonic())):
            return False
        data = os.read(self.child.stdout.fileno(), 65536)
        self.buffer += data
        return bool(data)

    def line(self, until, seen=None):
        """The next line, None if there is none. seen() is called when something of one that is not complete is there."""
        while b"\n" not in self.buffer:
            if seen and self.buffer.startswith(b"@end"):
                seen()
            if not self.read(until):
                return None
        line, self.buffer = self.buffer.split(b"\n", 1)
        text = line.decode(errors="replace").strip()
        self.tail = self.tail[-80:] + [text]
        return text

    def say(self, text):
        try:
            self.child.stdin.write(text.encode())
            self.child.stdin.flush()
        except OSError:
            pass  # it has ended: whoever reads will see

    def why(self):
        """How it ended, if it did."""
        try:
            return f"ended with status {self.child.wait(timeout=0.5)}"
        except subprocess.TimeoutExpired:
            return "did not answer"

    def threads(self):
        """{thread: (nanoseconds run, nanoseconds waited for a CPU)}"""
        result = {}
        for path in pathlib.Path(f"/proc/{self.child.pid}/task").glob("*/schedstat"):
            try:
                run, waited, _ = path.read_text().split()
                result[path.parent.name] = int(run), int(waited)
            except (OSError, ValueError):
                continue  # a thread that ended; a kernel that does not count
        return result

    def close(self):
        self.selector.close()
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        try:
            self.child.stdin.close()
        except OSError:
            pass
        self.child.stdout.close()


def busiest_delay(before, after):
    """The seconds that the busiest thread waited between two Process.threads()."""
    grown = [(run - before.get(t, (0, 0))[0], waited - before.get(t, (0, 0))[1]) for t, (run, waited) in after.items()]
    return max(grown, default=(0, 0))[1] / 1e9


def busy_sample(ns, checksum, wall, delay, alone=True):
    """What was measured, less the waiting for a CPU. What a self-timed work excludes has its share of that. Of several processes
    that run natively nobody knows how long all of them waited, and for whom: then nothing is left out, on no machine."""
    share = (min(1.0, ns / 1e9 / wall) if wall else 1.0) if alone else 0.0
    return Sample(max(1, ns - int(min(delay * share * 1e9, 0.9 * ns))), checksum, ns, wall, delay)


class Session:
    """A started machine that is told what to run. `start`: makes its Process, called again when a workload ended it."""

    def __init__(self, start, seconds, native):
        self.start, self.seconds, self.native = start, seconds, native
        self.process, self.problem = None, ""

    def ready(self):
        """Starts it if need be. False, with self.problem, if it cannot be started."""
        if self.process or self.problem:
            return not self.problem
        self.process = self.start()
        until = time.monotonic() + self.seconds
        while (line := self.process.line(until)) is not None:
            if line.startswith("@start"):
                return True
        self.problem = f"the machine {self.process.why()}: {last_words(self.process.tail)}"
        self.close()
        return False

    def run(self, workload):
        if not self.ready():
            return Sample(error=self.problem)
        process = self.process
        until = time.monotonic() + workload.seconds + 30
        ended = []
        begun, before = time.monotonic(), {}
        process.say(workload.key + "\n")
        while (line := process.line(until, lambda: ended or ended.append(time.monotonic()))) is not None:
            words = line.split()
            if words[:2] == ["@begin", workload.key]:
                begun, before = time.monotonic(), process.threads()
            elif words[:2] == ["@end", workload.key] and len(words) == 6:
                wall = (ended[0] if ended else time.monotonic()) - begun
                delay = int(words[4]) / 1e9 if self.native else busiest_delay(before, process.threads())
                return self.sample(int(words[2]), words[3], wall, delay, workload.alone, int(words[5]))
            elif words[:2] == ["@fail", workload.key]:
                return Sample(error=" ".join(words[2:]))
        error = f"the machine {process.why()}: {last_words(process.tail)}"
        self.close()
        return Sample(error=error)

    def sample(self, ns, checksum, wall, delay, alone, whole):
        """`ns` of the machine's clock counted, of `whole` that passed between the markers; the host saw `wall` seconds pass."""
        del whole
        return busy_sample(ns, checksum, wall, delay, alone)

    def close(self):
        if self.process:
            self.process.close()
            self.process = None


# Libraries choose functions by the CPU's features. Programs are to run the code that they would run in a guest.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C",
    "OPENSSL_CONF": "/dev/null",
    "OPENSSL_ia32cap": "0:0",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-SSE2,-SSSE3,-SSE4_1,-SSE4_2,-AVX2,-AVX,-AVX512F,-ERMS,-FSRM",
}


class Native:
    """The bare CPU. `works`: the keys of the only workloads that it can run, if it cannot run all of them."""

    def __init__(self, tree, name="native", works=None):
        self.tree, self.name, self.works = tree, name, works

    def session(self, plan, cpu, needs, workloads):
        del cpu
        (self.tree / "list").write_text(plan.list_text(needs, workloads))
        return Session(lambda: Process([self.tree / "bin" / "suite", self.tree], ENVIRONMENT), 120, True)


class Guest:
    """ring3 or QEMU: both understand the same options. `images`: the initramfs for each set of programs."""

    def __init__(self, name, command, kernel, images, memory, list_image):
        self.name, self.command, self.kernel, self.images = name, command, kernel, images
        self.memory, self.list_image = memory, list_image
        self.files = []

    def arguments(self, cpu, initrd, append, memory):
        return [*self.command, "-kernel", self.kernel, "-initrd", initrd, "-append", append, "-m", str(memory),
                "-cpu", cpu, "-nographic", "-no-reboot"]

    def initrd(self, plan, needs, workloads):
        file = tempfile.NamedTemporaryFile(prefix="bench-initrd")
        file.write(self.images[needs] + self.list_image(plan.list_text(needs, workloads)))
        file.flush()
        self.files.append(file)  # it lives as long as its name is needed
        return file.name

    def session(self, plan, cpu, needs, workloads):
        initrd = self.initrd(plan, needs, workloads)
        command = self.arguments(cpu, initrd, "console=ttyS0 quiet loglevel=1 panic=-1",
                                 max(self.memory, 768) if needs else self.memory)
        return Session(lambda: Process(command), 240, False)

    def nano(self, elf):
        """{name: cycles} of the guest in bench/nano; empty if it failed."""
        command = [*self.command, "-kernel", elf, "-m", "32", "-cpu", "pentium3", "-nographic", "-no-reboot"]
        try:
            output = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60).stdout
        except subprocess.TimeoutExpired as late:
            output = late.stdout or b""
        return {name.decode(): float(cycles) for name, cycles in re.findall(rb"@nano (\w+) ([0-9.]+)", output)}

    def boot(self, start, seconds):
        """The time until a machine started as `start`, a Boot, says its prompt."""
        begin = time.monotonic()
        process = Process([*self.command, *start.arguments, "-m", str(self.memory), "-cpu", "pentium3", "-nographic",
                           "-no-reboot"])
        try:
            while start.prompt not in process.buffer:
                if not process.read(begin + seconds):
                    return Sample(error=f"no shell: {process.why()}: {process.buffer[-200:].decode(errors='replace')}")
            wall = time.monotonic() - begin
            delay = busiest_delay({}, process.threads())
            return busy_sample(int(wall * 1e9), "shell", wall, delay)
        finally:
            process.close()

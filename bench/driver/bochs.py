# SPDX-License-Identifier: GPL-2.0-or-later
"""Bochs, an interpreter, as a further peer: boots the same kernel and programs from a CD by GRUB, as it can load none. That takes
some four thousand million instructions, two minutes, for each CPU model and set of programs, each round."""

import os
import pathlib
import signal
import subprocess
import termios
import time
import tty

from machines import Process, Session, busy_sample
from programs import Unavailable

RESCUE = pathlib.Path("/usr/lib/grub-rescue/grub-rescue-cdrom.iso")

CONFIG = """megs: {memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model={model}, count=1, ips=50000000
clock: sync=none, time0=946684800
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
com1: enabled=1, mode=term, dev={terminal}
display_library: rfb, options="timeout=0"
sound: driver=dummy
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
log: {log}
"""

MODELS = {"pentium3": "p3_katmai", "max": "corei5_lynnfield_750"}


class Terminal(Process):
    """Bochs with its serial port on a terminal of ours."""

    def __init__(self, command, master):
        super().__init__(command)
        self.master = master
        self.selector.unregister(self.child.stdout)
        self.selector.register(master, 1)

    def read(self, until):
        if not self.selector.select(max(0, until - time.monotonic())):
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False  # Bochs has ended
        self.buffer += data.replace(b"\r", b"")
        return bool(data)

    def say(self, text):
        os.write(self.master, text.encode())

    def close(self):
        super().close()
        os.close(self.master)


class HostTimed(Session):
    """Bochs' clock is its instruction count, so what counts is the time that the host sees pass: of the time between the markers
    the share that the guest found by its own clock. An idle guest would let that clock run ahead as fast as the host can: between
    its turns Bochs is stopped."""

    def run(self, workload):
        if self.process:
            os.killpg(self.process.child.pid, signal.SIGCONT)
        sample = super().run(workload)
        if self.process:
            os.killpg(self.process.child.pid, signal.SIGSTOP)
        return sample

    def sample(self, ns, checksum, wall, delay, alone, whole):
        return busy_sample(int(wall * 1e9 * min(1.0, ns / whole)), checksum, wall, delay)


class Bochs:
    name = "bochs"

    def __init__(self, kernel, images, memory, list_image, work):
        self.kernel, self.images, self.memory, self.list_image = kernel, images, memory, list_image
        self.work, self.count = pathlib.Path(work), 0

    def start(self, cpu, initrd, append, memory):
        self.count += 1
        folder = self.work / f"bochs{self.count}"
        folder.mkdir()
        (folder / "grub.cfg").write_text(f"linux /vmlinuz {append}\ninitrd /initrd\nboot\n")
        made = subprocess.run(["xorriso", "-indev", RESCUE, "-outdev", f"stdio:{folder / 'cd.iso'}", "-map", folder / "grub.cfg",
                               "/boot/grub/grub.cfg", "-map", self.kernel, "/vmlinuz", "-map", initrd, "/initrd",
                               "-boot_image", "any", "replay"], capture_output=True, text=True)
        if made.returncode:
            raise Unavailable(f"no CD for Bochs: {[t for t in made.stderr.splitlines() if 'FAIL' in t][:1]}")
        master, slave = os.openpty()
        tty.setraw(slave, termios.TCSANOW)
        (folder / "bochsrc").write_text(CONFIG.format(memory=memory, model=MODELS[cpu], iso=folder / "cd.iso",
                                                      terminal=os.ttyname(slave), log=folder / "log"))
        process = Terminal(["bochs", "-q", "-f", folder / "bochsrc"], master)
        process.slave = slave  # open, so that the terminal lasts
        Process.say(process, "c\n")  # Debian's Bochs starts in its debugger
        return process

    def session(self, plan, cpu, needs, workloads):
        initrd = self.work / f"bochs-initrd{self.count}"
        initrd.write_bytes(self.images[needs] + self.list_image(plan.list_text(needs, workloads)))
        memory = max(self.memory, 768) if needs else self.memory
        return HostTimed(lambda: self.start(cpu, initrd, "console=ttyS0 quiet loglevel=1 panic=-1", memory), 1800, False)

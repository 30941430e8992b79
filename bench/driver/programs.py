# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds what is measured: the i386 programs, the initramfs, ring3 itself."""

import gzip
import os
import pathlib
import shutil
import stat
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]
SOURCES = TOP / "bench" / "programs"
COMMON = ["-O2", "-static", "-no-pie", "-fno-pie", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra"]
FLAGS = ["-m32", "-march=i686", *COMMON]
FLAGS_64 = ["-m64", "-mfpmath=387", *COMMON]  # floating point as i686 code has it
PROGRAMS = {  # program: sources
    "suite": ["suite.c"],
    "gen": ["gen.c"],
    "kernel": ["main.c", "kernel*.c"],
    "user": ["main.c", "user*.c"],
    "code": ["main.c", "code*.c"],
    "scale": ["scale.c"],
}


class Unavailable(Exception):
    """Something that the benchmark cannot do without; one sentence."""


def cache_folder():
    if "RING3_CACHE" in os.environ:
        return pathlib.Path(os.environ["RING3_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "ring3"


def sources(program):
    return sorted(path for pattern in PROGRAMS[program] for path in SOURCES.glob(pattern))


def compile_programs(folder, flags=FLAGS, names=tuple(PROGRAMS)):
    """Compiles what is older than its sources. Returns {program: path}."""
    folder.mkdir(parents=True, exist_ok=True)
    result = {}
    for program in names:
        path = folder / program
        newest = max(s.stat().st_mtime for s in sources(program) + list(SOURCES.glob("*.h")))
        if not path.exists() or path.stat().st_mtime < newest:
            done = subprocess.run(["gcc", *flags, "-o", path, *sources(program), "-lm", "-pthread"])
            if done.returncode:
                raise Unavailable(f"{program} could not be compiled: is gcc-multilib installed?")
        result[program] = path
    return result


def compile_programs64(folder):
    """Those that need not be i386 code, for `native64`. Returns ({program: path}, the keys of their works)."""
    built = compile_programs(folder, FLAGS_64, ("suite", "gen", "user", "kernel"))
    return built, {f"{group}/{name}" for group in ("user", "kernel")
                   for name in subprocess.run([built[group], "-l"], check=True, capture_output=True, text=True).stdout.split()}


NO_NATIVE = "this host runs no 32-bit programs: there is no `native`, and ratios to it cannot be had here"


def host_runs_i386(built):
    """Whether the programs run natively. There are virtual machines whose kernels run 64-bit code only."""
    try:
        return subprocess.run([built["user"], "-exit"]).returncode == 42
    except OSError:
        return False


NANO_FLAGS = ["-m32", "-march=i386", "-mgeneral-regs-only", "-ffreestanding", "-fno-pic", "-fno-stack-protector",
              "-fno-asynchronous-unwind-tables", "-fcf-protection=none", "-Os", "-Wall", "-Wextra", "-std=gnu11",
              "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments"]


def compile_nano(folder):
    """The guest of bench/nano, on the kernel that the guest tests use."""
    lib = TOP / "tests" / "guest" / "lib"
    output = folder / "nano.elf"
    sources = [TOP / "bench" / "nano" / "nano.c", TOP / "bench" / "nano" / "loops.S", lib / "kernel.c", lib / "entry.S"]
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["gcc", *NANO_FLAGS, f"-I{TOP}", f"-Wl,-T,{lib / 'kernel.ld'}", "-o", output, *sources]).returncode:
        raise Unavailable("bench/nano could not be compiled: is gcc-multilib installed?")
    return output


def compile_callret(folder):
    """The same call and return as in bench/nano, for the bare CPU."""
    output = folder / "callret"
    sources = [TOP / "bench" / "nano" / "callret.c"]
    if subprocess.run(["gcc", "-m32", "-O2", "-Wall", "-Wextra", "-o", output, *sources]).returncode:
        raise Unavailable("bench/nano could not be compiled: is gcc-multilib installed?")
    return output


def compile_translate(folder):
    """bench/micro/translate.c with the translator's sources."""
    output = folder / "translate"
    sources = [TOP / "bench" / "micro" / "translate.c", TOP / "monitor" / "base" / "log.c", TOP / "monitor" / "base" / "err.c",
               *(path for unit in ("bt", "cache", "decoder") for path in (TOP / unit).glob("*.c"))]
    if subprocess.run(["gcc", "-O2", "-DNDEBUG", "-D_GNU_SOURCE", f"-I{TOP}", "-o", output, *sources, "-lcapstone"]).returncode:
        raise Unavailable("bench/micro/translate.c could not be compiled: is libcapstone-dev installed?")
    return output


def build_ring3():
    build = pathlib.Path(os.environ.get("RING3_BUILD", TOP / "build" / "release"))
    for command in (["cmake", "-S", TOP, "-B", build, "-G", "Ninja", "--log-level=NOTICE", "-DCMAKE_BUILD_TYPE=Release"],
                    ["cmake", "--build", build, "--target", "ring3", "--", "--quiet"]):
        if subprocess.run(command).returncode:
            raise Unavailable(f"ring3 could not be built in {build}")
    return build / "ring3"


def fetch(*what):
    if subprocess.run([TOP / "tests" / "boot" / "fetch-debian", *what]).returncode:
        raise Unavailable("Debian's packages could not be fetched")


def debian_disk(built):
    """A disk with a whole Debian, made at the first call, in minutes: by ring3 where the host runs no i386 programs."""
    environment = os.environ if host_runs_i386(built) else {**os.environ, "RING3_BUILD": str(build_ring3().parent)}
    if subprocess.run([TOP / "tests" / "boot" / "make-debian-disk"], env=environment).returncode:
        raise Unavailable("there is no disk to boot Debian from (leave boot/debian out: bench/run user kernel code real nano)")
    return cache_folder() / "debian-disk.img"


class Archive:
    """A newc cpio archive, as initramfs images are."""

    def __init__(self):
        self.parts = []
        self.inode = 1
        self.folders = set()

    def entry(self, name, mode, data=b"", device=(0, 0)):
        encoded = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(encoded), 0]
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + encoded
        self.parts += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]
        self.inode += 1

    def folder(self, name):
        for parent in [str(p) for p in reversed(pathlib.PurePosixPath(name).parents)][1:] + [name]:
            if parent not in self.folders:
                self.folders.add(parent)
                self.entry(parent, stat.S_IFDIR | 0o755)

    def file(self, name, data, executable=False):
        self.folder(str(pathlib.PurePosixPath(name).parent))
        self.entry(name, stat.S_IFREG | (0o755 if executable else 0o644), data)

    def tree(self, root, prefix):
        """Adds a folder of the host with everything below it."""
        for folder, _, files in os.walk(root):
            inside = os.path.join(prefix, os.path.relpath(folder, root))
            self.folder(os.path.normpath(inside))
            for name in files:
                path = os.path.join(folder, name)
                data = os.readlink(path).encode() if os.path.islink(path) else pathlib.Path(path).read_bytes()
                link = os.path.islink(path)
                mode = stat.S_IFLNK | 0o777 if link else stat.S_IFREG | (os.stat(path).st_mode & 0o777)
                self.entry(os.path.normpath(os.path.join(inside, name)), mode, data)

    def finish(self):
        self.inode = 0
        self.entry("TRAILER!!!", 0)
        data = b"".join(self.parts)
        return data + b"\0" * (-len(data) % 512)


def guest_image(tree):
    """The initramfs with the tree in /bench, but for the list; gzipped."""
    archive = Archive()
    for folder in ("dev", "proc", "sys", "tmp", "bin", "bench"):
        archive.folder(folder)
    archive.entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.file("init", (tree / "bin" / "suite").read_bytes(), executable=True)
    archive.entry("bin/sh", stat.S_IFLNK | 0o777, b"/bench/bin/busybox")
    archive.tree(tree, "bench")
    image = gzip.compress(archive.finish(), 1)
    return image + b"\0" * (-len(image) % 4)  # where the kernel looks for the next one


def shell_image(path, busybox):
    """The initramfs that boots to a shell."""
    subprocess.run([TOP / "tests" / "boot" / "make-initramfs", path, busybox], check=True)
    return path


def list_image(text):
    """The list alone: the kernel unpacks one image after the other."""
    archive = Archive()
    archive.file("bench/list", text.encode())
    return archive.finish()


def make_tree(folder, programs, busybox, real=None):
    """The folder that workloads run in, natively. `real`: Debian's programs."""
    binaries = folder / "bin"
    binaries.mkdir(parents=True)
    for name, path in programs.items():
        shutil.copy2(path, binaries / name)
    shutil.copy2(busybox, binaries / "busybox")
    (binaries / "busybox").chmod(0o755)
    if real:
        shutil.copytree(real, folder / "real", symlinks=True)
    return folder

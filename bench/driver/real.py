# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own i386 programs: fetched, unpacked into a tree, run there by their own loader."""

import os
import shutil
import subprocess

from programs import TOP, Unavailable, cache_folder

PACKAGES = """bzip2 cpp-12 dash gcc-12-base gzip libbz2-1.0 libc6 libcrypt1 libexpat1 libgcc-s1 libgmp10 libisl23
libluajit-5.1-2 liblzma5 libmpc3 libmpfr6 libpython3.11-minimal libreadline8 libsqlite3-0 libssl3 libstdc++6 libtinfo6
libzstd1 lua5.4 luajit mawk openssl p7zip perl-base python3.11-minimal sqlite3 xz-utils zlib1g coreutils
libacl1 libattr1 libselinux1 libpcre2-8-0
stress-ng libapparmor1 libbsd0 libdrm2 libegl1 libffi8 libgbm1 libgles2 libglvnd0 libjpeg62-turbo libjudydebian1
libkmod2 libmd0 libsctp1 libwayland-server0 libxxhash0""".split()

UNUSED = ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian",
          "usr/lib/i386-linux-gnu/gconv", "usr/lib/gcc/i686-linux-gnu/12/plugin", "usr/share/unicode"]

SOURCES = TOP / "bench" / "real"
UNITS = ("user_calls", "suite")  # what cc1 compiles


def fetch():
    """Unpacks the packages into the cache once; returns the folder and writes their versions beside it."""
    cache = cache_folder()
    tree, done = cache / "bench" / "real", cache / "bench" / "real.versions"
    if done.exists() and {line.split("_")[0] for line in done.read_text().split()} == set(PACKAGES):
        return tree
    archives = cache / "bench" / "archives"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.rmtree(archives, ignore_errors=True)
    archives.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "APT_CONFIG": str(cache / "apt" / "etc" / "apt.conf")}
    print("fetching Debian's programs (i386)", flush=True)
    fetched = subprocess.run(["apt-get", "-q", "-o", "Acquire::http::Timeout=20", "download", *PACKAGES],
                             cwd=archives, env=environment, capture_output=True, text=True)
    if fetched.returncode:
        problem = next((line for line in fetched.stderr.splitlines() if line.startswith("E:")), "no apt-get?")
        raise Unavailable(f"Debian's programs cannot be fetched ({problem})")
    for package in sorted(archives.glob("*.deb")):
        if subprocess.run(["dpkg-deb", "-x", package, tree]).returncode:
            raise Unavailable(f"{package} cannot be unpacked")
    for folder in UNUSED:
        shutil.rmtree(tree / folder, ignore_errors=True)
    done.write_text("\n".join(sorted(p.stem for p in archives.glob("*.deb"))) + "\n")
    shutil.rmtree(archives)
    return tree


PERL_MODULES = "-Ireal/usr/lib/i386-linux-gnu/perl-base"
LIBRARIES = "real/lib/i386-linux-gnu:real/usr/lib/i386-linux-gnu"


def command(program, *arguments):
    """The program through its own loader: the host's libraries play no part."""
    return ("real/lib/i386-linux-gnu/ld-linux.so.2", "--library-path", LIBRARIES, f"real/{program}",
            *(str(a) for a in arguments))


def shell(text, cpu_variables=""):
    """A line for dash, where $r runs a program of the tree."""
    prefix = " ".join(command("")[:-1])
    return command("bin/dash", "-c", f"r='{prefix}'; {cpu_variables} {text}")


def add_files(tree):
    """The scripts, a key and preprocessed C files, made by the host's own openssl and compiler."""
    shutil.copytree(SOURCES, tree / "work")
    units = [subprocess.run(["gcc", "-m32", "-O2", "-E", "-P", "-D_GNU_SOURCE", TOP / "bench" / "programs" / f"{unit}.c",
                             "-o", tree / "work" / f"{unit}.i"]) for unit in UNITS]
    key = subprocess.run(["openssl", "genrsa", "-out", tree / "work" / "key.pem", "2048"], capture_output=True)
    if key.returncode or any(u.returncode for u in units):
        raise Unavailable("the files for Debian's programs could not be made")


def plan_real(plan):
    """Adds the workloads. Their text is the file `text`."""
    p = plan.percent

    def add(name, argv, cpu="pentium3", alone=None):
        plan.add("real", name, "cmd", *argv, cpu=cpu, needs="real", alone=argv[3] != "real/bin/dash" if alone is None else alone)

    def stress(name, *arguments):
        # Its figures go to a file; what counts is that it ends well. It must not look for the host's CPU.
        add(f"stress_{name}", shell(f"$r real/usr/bin/stress-ng -q --timeout 0 --temp-path . {' '.join(map(str, arguments))} "
                                    ">stress.log 2>&1; echo $?"))

    def times(n):
        return f"i=0; while [ $i -lt {max(1, n)} ]; do i=$((i+1));"

    def file(name, *argv):
        plan.add_file(name, *argv, needs="real")
        return name

    add("gzip", command("bin/gzip", "-9", "-n", "-c", "text"))
    add("gunzip", command("bin/gzip", "-d", "-c", *[file("text.gz", "bin/busybox", "gzip", "-c", "text")] * max(1, p // 12)))
    add("bzip2", command("bin/bzip2", "-9", "-c", file("text.bzip2", "bin/busybox", "head", "-c", 25000 * p, "text")))
    add("xz", command("usr/bin/xz", "-6", "-T1", "-c", file("text.xz", "bin/busybox", "head", "-c", 5000 * p, "text")))
    add("7zip", shell(f"rm -f t.7z; bin/busybox head -c {6000 * p} text >t; $r real/usr/lib/p7zip/7zr a -mmt1 t.7z t >/dev/null; "
                      "$r real/usr/lib/p7zip/7zr x -so t.7z | bin/busybox md5sum"))
    add("awk", command("usr/bin/mawk", "-f", "work/work.awk", "text"))
    add("perl", command("usr/bin/perl", PERL_MODULES, "work/work.pl", "text", 15 * p))
    add("python", (*command("usr/bin/python3.11", "-I", "-S", "work/work.py", max(1, p // 6)),))
    add("lua", command("usr/bin/lua5.4", "work/work.lua", max(1, p // 4)))
    add("luajit", command("usr/bin/luajit", "work/work.lua", max(1, p)), cpu="max")
    add("sqlite", command("usr/bin/sqlite3", ":memory:", *[".read work/work.sql"] * max(1, p // 20)))
    add("openssl_sha", command("usr/bin/openssl", "dgst", "-sha256", *["text"] * max(1, p // 5)))
    add("openssl_aes", command("usr/bin/openssl", "enc", "-aes-256-cbc", "-K", "00112233" * 8, "-iv", "0123" * 8,
                               "-in", file("text.aes", "bin/busybox", "cat", *["text"] * 7)))
    add("openssl_rsa", shell(times(p // 5) + " $r real/usr/bin/openssl dgst -sha256 -sign work/key.pem work/work.sql | "
                             "bin/busybox md5sum; done"))
    add("cc1", shell(f"for n in $(bin/busybox seq {max(1, p // 50)}); do for u in {' '.join(UNITS)}; do "
                     "$r real/usr/lib/gcc/i686-linux-gnu/12/cc1 -quiet -fpreprocessed -O2 -o - work/$u.i; done; done"))
    add("dash", command("bin/dash", "-c", times(800 * p) + " x=$((i*3&255)); case $x in 1*) y=$y$x;; *) y=;; esac; "
                        "done; echo $i $y"), alone=True)
    add("dash_forks", command("bin/dash", "-c", times(5 * p) + " x=$(echo $i | { read a; echo $a; }); done; echo $x"))
    add("start_true", shell(times(4 * p) + " $r real/bin/true; done; echo $i"))
    add("start_perl", shell(times(p) + f" $r real/usr/bin/perl {PERL_MODULES} -e 'print 1'; done"))
    add("start_python", shell(times(p // 5) + " $r real/usr/bin/python3.11 -I -S -c 'print(1)'; done"))
    stress("cpu", "--cpu", 1, "--cpu-method", "int32", "--cpu-ops", 3 * p)
    stress("matrix", "--matrix", 1, "--matrix-size", 64, "--matrix-ops", 30 * p)
    stress("qsort", "--qsort", 1, "--qsort-size", 20000, "--qsort-ops", max(1, p // 3))
    stress("switch", "--switch", 1, "--switch-ops", 200 * p)
    stress("fork", "--fork", 1, "--fork-ops", 5 * p)
    stress("vm", "--vm", 1, "--vm-bytes", "8M", "--vm-method", "rowhammer", "--vm-ops", 12 * p)

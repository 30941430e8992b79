# SPDX-License-Identifier: GPL-2.0-or-later
"""The translator alone, over busybox's megabyte and a half of code: how fast it is, how much the code grows."""

import re
import statistics
import subprocess

import programs

LINE = re.compile(r"^(\S.*?)\s+([0-9.]+) MB/s.*, ([0-9.]+) ns an instruction; ([0-9.]+) host bytes.*; "
                  r"([0-9.]+) instructions a block")
COLUMNS = {"mb_s": "MB of guest code/s", "ns_insn": "ns an instruction", "growth": "host bytes per guest byte",
           "insns_block": "instructions a block"}


def text_of(elf):
    """(offset, length) of an ELF file's code."""
    listing = subprocess.run(["readelf", "-SW", elf], capture_output=True, text=True).stdout
    found = re.search(r"\.text\s+PROGBITS\s+[0-9a-f]+ ([0-9a-f]+) ([0-9a-f]+)", listing)
    if not found:
        raise programs.Unavailable(f"no code found in {elf}: is readelf (binutils) there?")
    return int(found[1], 16), int(found[2], 16)


def run(tool, elf):
    """{way: {column: value}}"""
    offset, length = text_of(elf)
    done = subprocess.run([tool, elf, str(offset), str(length)], capture_output=True, text=True)
    found = [LINE.match(line) for line in done.stdout.splitlines()]
    if done.returncode or not found or not all(found):
        raise programs.Unavailable(f"the translator's benchmark says: {done.stdout}{done.stderr}")
    return {f[1]: dict(zip(COLUMNS, map(float, f.groups()[1:]))) for f in found}


def measure(rounds, progress, folder, elf):
    tool = programs.compile_translate(folder)
    runs = []
    for _ in range(rounds):
        progress.step("the translator alone")
        runs.append(run(tool, elf))
    return {way: {c: statistics.median(r[way][c] for r in runs) for c in COLUMNS} for way in runs[0]}


def lines(results):
    """Rows of cells, a way each, under a head."""
    return [["translator", *COLUMNS.values()],
            *([f"translator/{way}", *(f"{values[c]:.1f}" for c in COLUMNS)] for way, values in results.items())]

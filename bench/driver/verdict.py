# SPDX-License-Identifier: GPL-2.0-or-later
"""What ring3 is to reach, and whether a run did."""

import statistics

# Of a group's geometric mean to native: what it must be, what it should be.
GROUPS = {"user": (1.25, 1.10), "kernel": (2.5, 1.5), "code": (8, 3), "real": (1.5, 1.15)}
BOOT = (3, 5)  # times faster than TCG
WORST = {"user": 2.5, "real": 2.5}  # no single workload slower, to native
# Cycles. What a page fault costs natively nobody can measure without the bare machine: Adams and Agesen's figure.
NANO = {"syscall": 300, "ptemod": 200, "ptemod_used": 200, "cr3wr": 500, "pgfault": 4 * 1093}
CALLRET_OVER_NATIVE = 15


def line(what, value, must, aim=None, unit="x", more_is_better=False):
    good = value >= must if more_is_better else value <= must
    best = aim is not None and (value >= aim if more_is_better else value <= aim)
    word = "reaches the aim" if best else "fine" if good else "MISSED"
    wanted = f"must {must:g}{unit}" + (f", aim {aim:g}{unit}" if aim is not None else "")
    return {"what": what, "value": value, "must": must, "aim": aim, "met": good, "text":
            f"{what:<46} {value:8.2f}{unit}  ({wanted}): {word}"}


def unmeasured(what, must, aim=None, unit="x"):
    wanted = f"must {must:g}{unit}" + (f", aim {aim:g}{unit}" if aim is not None else "")
    return {"what": what, "value": None, "must": must, "aim": aim, "met": None, "text":
            f"{what:<46} {'-':>8}{' ' * len(unit)}  ({wanted}): not measured here"}


def single(rows, key, limit, groups=None, over=True):
    return [f"{r['group']}/{r['name']} {r[key]:.2f}" for r in rows
            if r.get(key) and (groups is None or r["group"] in groups)
            and (r[key] > limit if over else r[key] < limit)]


def judge(rows, groups, nano, native_callret=None, no_native=""):
    """A list of {what, value, must, met, text}, a line a figure; value and met are None where `no_native` says why the bare
    CPU could not be measured."""
    result = []
    for name, (must, aim) in GROUPS.items():
        value = groups.get(name, {}).get("ring3/native")
        what = f"{name}: ring3 to native, geometric mean"
        if value:
            result.append(line(what, value, must, aim))
        elif no_native and name in groups:
            result.append(unmeasured(what, must, aim))
    for row in rows:
        if row["group"] == "boot" and row["name"] == "shell" and row.get("qemu/ring3"):
            result.append(line("boot to the shell: times faster than TCG", row["qemu/ring3"], *BOOT, more_is_better=True))
    for name, limit in WORST.items():
        members = [r["ring3/native"] for r in rows if r["group"] == name and r.get("ring3/native")]
        what = f"{name}: worst single workload to native"
        if no_native and name in groups:
            result.append(unmeasured(what, limit))
        elif members:
            entry = line(what, max(members), limit)
            bad = single(rows, "ring3/native", limit, (name,))
            entry["text"] += f": {', '.join(bad)}" if bad else ""
            result.append(entry)
    peers = [r for r in rows if r.get("qemu/ring3")]
    if peers:
        entry = line("slowest against TCG, of all workloads", min(r["qemu/ring3"] for r in peers), 1, more_is_better=True)
        bad = single(peers, "qemu/ring3", 1, over=False)
        entry["text"] += f": {', '.join(bad)}" if bad else ""
        result.append(entry)
    ours = {name: statistics.median(values) for name, values in nano.get("ring3", {}).items()}
    for name, limit in NANO.items():
        if name in ours:
            result.append(line(f"nano: {name}", ours[name], limit, unit=" cycles"))
    what = "nano: call/ret over native"
    if "callret" in ours and native_callret is not None:
        result.append(line(what, ours["callret"] - native_callret, CALLRET_OVER_NATIVE, unit=" cycles"))
    elif "callret" in ours and no_native:
        result.append(unmeasured(what, CALLRET_OVER_NATIVE, unit=" cycles"))
    return result

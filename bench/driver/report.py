# SPDX-License-Identifier: GPL-2.0-or-later
"""Medians, spreads, confidence intervals; the tables."""

import math
import random
import statistics


def summary(samples):
    """Statistics over the runs of one workload on one machine."""
    times = sorted(s.ns for s in samples if not s.error)
    errors = [s.error for s in samples if s.error]
    if not times:
        return {"median_ns": None, "runs_ns": [], "errors": errors}
    median = statistics.median(times)
    return {
        "median_ns": median,
        "min_ns": times[0],
        "max_ns": times[-1],
        "spread": (times[-1] - times[0]) / median if median else 0.0,
        "runs_ns": [s.ns for s in samples if not s.error],
        "raw_ns": [s.raw_ns for s in samples if not s.error],
        "waited": sum(s.delay for s in samples) / max(1e-9, sum(s.wall for s in samples)),
        "errors": errors,
        "checksums": sorted({s.checksum for s in samples if not s.error}),
        "clock_error": clock_error(samples),
    }


def clock_error(samples):
    """The largest time by which the guest's clock claims less than the host's saw between the markers, in
    seconds: self-timed works exclude their preparations, and markers travel over a serial port, so only a
    guest that measures more than the host is suspicious. Negative: none is."""
    known = [s.raw_ns / 1e9 - s.wall for s in samples if not s.error and s.wall]
    return round(max(known), 4) if known else None


def interval(a, b, draws=400):
    """A 95% bootstrap confidence interval of median(a) / median(b). Samples of a round are neighbours in time: they are
    drawn together."""
    if min(len(a), len(b)) < 3 or len(a) != len(b):
        return None
    source, ratios = random.Random(1), []
    for _ in range(draws):
        drawn = source.choices(range(len(a)), k=len(a))
        ratios.append(statistics.median(a[i] for i in drawn) / statistics.median(b[i] for i in drawn))
    ratios.sort()
    return [ratios[int(draws * 0.025)], ratios[int(draws * 0.975) - 1]]


def geometric(values):
    values = [v for v in values if v]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


PAIRS = (("ring3", "native"), ("qemu", "native"), ("bochs", "native"), ("qemu", "ring3"), ("bochs", "ring3"),
         ("ring3", "native64"))
OTHER_BINARIES = {"native64": "native64 runs other binaries, our programs compiled for x86-64: it says roughly how far away the "
                              "bare CPU is, no more"}


def evaluate(workloads, samples, machines, statistic="median"):
    """samples: {machine: {key: [Sample]}}. Returns the list that goes into the JSON; ratios are of medians, or of
    the fastest runs ("min") where a busy machine makes the others meaningless."""
    rows = []
    for w in workloads:
        runs = {m: summary(samples[m][w.key]) for m in machines if samples[m].get(w.key)}
        sums = {c for m, r in runs.items() if m not in OTHER_BINARIES for c in r.get("checksums", [])}
        row = {"group": w.group, "name": w.name, "cpu": w.cpu, "machines": runs, "checksums_agree": len(sums) <= 1}
        for a, b in PAIRS:
            x, y = runs.get(a, {}), runs.get(b, {})
            if x.get("median_ns") and y.get("median_ns"):
                row[f"{a}/{b}"] = x[f"{statistic}_ns"] / y[f"{statistic}_ns"]
                row[f"{a}/{b} ci95"] = interval(x["runs_ns"], y["runs_ns"])
        rows.append(row)
    return rows


def groups(rows):
    result = {}
    for name in dict.fromkeys(r["group"] for r in rows):
        members = [r for r in rows if r["group"] == name]
        result[name] = {key: geometric([r.get(key) for r in members])
                        for key in (f"{a}/{b}" for a, b in PAIRS)}
        result[name]["workloads"] = len(members)
    return result


def cell(value, form="{:.2f}"):
    return form.format(value) if value is not None else "-"


def milliseconds(row, machine, statistic):
    run = row["machines"].get(machine)
    if run is None:
        return "-"
    if run["median_ns"] is None:
        return "FAILED"
    return f"{run[f'{statistic}_ns'] / 1e6:.1f}"


def remarks(row):
    notes = []
    if not row["checksums_agree"]:
        notes.append("CHECKSUMS DIFFER")
    for machine, run in row["machines"].items():
        if run["errors"]:
            notes.append(f"{machine} failed {len(run['errors'])}x: {run['errors'][0][:60]}")
        if (run.get("clock_error") or 0) > 0.05 + 0.02 * (run["median_ns"] or 0) / 1e9:
            notes.append(f"{machine}'s clock runs {run['clock_error']:.2f} s ahead")
    if row.get("qemu/ring3") and row["qemu/ring3"] < 1:
        notes.append("slower than TCG")
    elif (row.get("ring3/native") or 0) > 2.5 and row["group"] in ("user", "real"):
        notes.append("slower than 2.5x native")
    return "; ".join(notes)


def confidence(row, key):
    ends = row.get(f"{key} ci95")
    return f"{ends[0]:.2f}-{ends[1]:.2f}" if ends else "-"


def table(rows, machines, statistic="median"):
    """The table for the terminal: a line a workload, then one a group."""
    pairs = [f"{a}/{b}" for a, b in PAIRS if a in machines and b in machines]
    lines = [["workload", *(f"{m} ms" for m in machines), *pairs, "95%", "spread", "waited", ""]]
    for row in rows:
        runs = row["machines"].values()
        lines.append([f"{row['group']}/{row['name']}", *(milliseconds(row, m, statistic) for m in machines),
                      *(cell(row.get(p)) for p in pairs), confidence(row, pairs[0]) if pairs else "-",
                      "/".join(f"{100 * r['spread']:.0f}" for r in runs if "spread" in r) + "%",
                      "/".join(f"{100 * r['waited']:.0f}" for r in runs if "waited" in r) + "%", remarks(row)])
    for name, group in groups(rows).items():
        lines.append([f"= {name} ({group['workloads']}, geometric mean)", *("" for _ in machines),
                      *(cell(group[p]) for p in pairs), "", "", "", ""])
    return align(lines)


def align(lines):
    """Lines of cells as text: the first column and the last to the left, the others to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]) - 1)]
    text = []
    for line in lines:
        cells = [line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:-1], widths[1:])]
        text.append(("  ".join(cells) + "  " + line[-1]).rstrip())
    return "\n".join(text)


# Adams and Agesen, ASPLOS 2006: cycles on a 3.8 GHz Pentium 4 672 (native, their software VMM, their hardware VMM),
# as far as their text states them.
PUBLISHED = {
    "syscall": ("", "some 2000 more than native", "as native"),
    "in": ("3209", "a 15th of native", "15826"),
    "callret": ("11", "51", "11"),
    "pgfault": ("1093", "3927", "11242"),
    "divzero": ("889", "3223", "1014"),
    "ptemod": ("1", "391", "12733"),
}


def nano_table(results, native_callret=None):
    """results: {machine: {name: [cycles]}}. Little of it can be measured on the bare CPU from user mode."""
    machines = list(results)
    names = list(dict.fromkeys(n for machine in machines for n in results[machine]))
    lines = [["cycles", *machines, "native", "published: native", "software VMM", "hardware VMM", ""]]
    for name in names:
        values = [results[m].get(name) for m in machines]
        lines.append([f"nano/{name}", *(f"{statistics.median(v):.0f}" if v else "-" for v in values),
                      f"{native_callret:.0f}" if name == "callret" and native_callret is not None else "-",
                      *PUBLISHED.get(name, ("", "", "")), ""])
    return align(lines)

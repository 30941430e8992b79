# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of a README from results.json: the groups first, then what was to be reached, and every workload."""

import statistics

import report
import translator


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(row) + " |" for row in rows)]


def factor(value):
    return f"{value:.2f}" if value is not None and value < 10 else f"{value:.1f}" if value is not None else "-"


NAMES = {"ring3/native": "ring3 to native", "qemu/native": "TCG to native", "bochs/native": "Bochs to native",
         "qemu/ring3": "TCG to ring3", "bochs/ring3": "Bochs to ring3", "ring3/native64": "ring3 to native64"}


def slowest(rows, group, pair, count=3):
    """Where ring3 does worst: by its ratio to native, or by a peer's to ring3."""
    sign = -1 if pair == "ring3/native" else 1
    members = sorted((r for r in rows if r["group"] == group and r.get(pair)), key=lambda r: sign * r[pair])
    return ", ".join(f"{r['name']} {factor(r[pair])}" for r in members[:count]) or "-"


def groups(data):
    pairs = [p for p in NAMES if any(g.get(p) for g in data["groups"].values())]
    worst = next((p for p in pairs if "ring3" in p), "ring3/native")
    return table(["group, geometric mean", "workloads", *(NAMES[p] for p in pairs),
                  "slowest to native" if worst == "ring3/native" else f"least, {NAMES[worst]}"],
                 [[name, str(g["workloads"]), *(factor(g.get(p)) for p in pairs), slowest(data["workloads"], name, worst)]
                  for name, g in data["groups"].items()])


def workloads(data):
    machines = list(dict.fromkeys(m for row in data["workloads"] for m in row["machines"]))
    pairs = [f"{a}/{b}" for a, b in report.PAIRS if any(row.get(f"{a}/{b}") for row in data["workloads"])]
    ends = [p for p in pairs[:1] if any(row.get(f"{p} ci95") for row in data["workloads"])]
    rows = [[f"{row['group']}/{row['name']}", *(report.milliseconds(row, m, "median") for m in machines),
             *(factor(row.get(p)) for p in pairs), *(report.confidence(row, p) for p in ends)] for row in data["workloads"]]
    return table(["workload", *(f"{m}, ms" for m in machines), *pairs, *(f"{p}, 95%" for p in ends)], rows)


def nano(data):
    machines = list(data["nano"])
    names = list(dict.fromkeys(name for m in machines for name in data["nano"][m]))

    def native(name):
        value = data["circumstances"].get("native callret")
        return f"{value:.0f}" if name == "callret" and value is not None else "-"

    rows = [[name, *(f"{statistics.median(data['nano'][m][name]):.0f}" if name in data["nano"][m] else "-" for m in machines),
             native(name), *(text or "-" for text in report.PUBLISHED.get(name, ("", "", "")))] for name in names]
    return table(["cycles", *machines, "native", "published: native", "software VMM", "hardware VMM"], rows)


def render(data):
    facts = data["circumstances"]
    parts = [[f"{facts['date'][:16].replace('T', ' ')}, {facts['cpu']}, {facts['cpus']} CPUs, load {facts['load'][0]:.1f}, "
              f"{100 * facts.get('waited', 0):.0f}% of the time waited for a CPU; ring3 {facts['ring3']}; {facts['qemu']}; "
              f"{facts['guest']}; size {facts['percent']}%, {facts['rounds']} rounds, {facts['seconds']:.0f} s."]]
    if facts.get("left out"):
        parts[0].append(f"{facts['left out']}.")
    parts[0] += [f"{text}." for name, text in report.OTHER_BINARIES.items()
                 if any(name in row["machines"] for row in data["workloads"])]
    if data["workloads"]:
        parts += [groups(data), [f"- {' '.join(v['text'].split())}" for v in data["verdicts"]], workloads(data)]
    if data["nano"]:
        parts.append(nano(data))
    if data.get("translator"):
        head, *rows = translator.lines(data["translator"])
        parts.append(table(head, rows))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"

# SPDX-License-Identifier: GPL-2.0-or-later
"""Plots by gnuplot, as PNG and SVG."""

import subprocess

from programs import Unavailable

COLOURS = {"ring3": "#1b6ca8", "qemu": "#d1812c", "bochs": "#8a8a8a"}
WORDS = {"native": "the bare CPU", "ring3": "ring3"}


def quoted(text):
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def gnuplot(script):
    done = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"gnuplot failed: {done.stderr.strip().splitlines()[-1:]}")


def both(path, size, body):
    """Draws `body` twice; returns the files' names."""
    files = []
    for suffix, terminal in (("png", "pngcairo"), ("svg", "svg")):
        file = path.with_suffix(f".{suffix}")
        gnuplot(f"set terminal {terminal} size {size[0]},{size[1]} background rgb 'white' font 'Sans,10'\n"
                f"set output {quoted(file)}\n{body}")
        files.append(file)
    return files


def bars(path, title, base, names, series):
    """Ratios to `base`, a cluster of bars a name, on a logarithmic scale. series: {machine: [ratio or None]}"""
    least = min(0.3, min(ratio for ratios in series.values() for ratio in ratios if ratio) / 1.5)
    body = [f"set title {quoted(title)}", "set style data histogram", "set style histogram cluster gap 1",
            "set style fill solid 0.9 border -1", "set logscale y 10", f"set yrange [{least:.3g}:*]",
            f"set ylabel 'time, {base} = 1'", "set xtics rotate by -55 scale 0 noenhanced", "set grid ytics",
            "set key top left", "set arrow from graph 0, first 1 to graph 1, first 1 nohead lw 2 lc rgb 'black'"]
    body.append("$data << END")
    for i, name in enumerate(names):
        body.append(" ".join([quoted(name), *(f"{s[i]:.4f}" if s[i] else "NaN" for s in series.values())]))
    body.append("END")
    body.append("plot " + ", ".join(f"$data using {i + 2}:xtic(1) title {quoted(m)} lc rgb {quoted(COLOURS.get(m, 'gray'))}"
                                    for i, m in enumerate(series)))
    return both(path, (max(520, 160 + 22 * len(names) * len(series)), 520), "\n".join(body) + "\n")


def curves(path, title, axes, left, right=None, logarithmic=True):
    """left, right: {name: [(x, y)]}, by the axis that they belong to; axes: the labels of x, of left and of right."""
    series = [(name, points, "x1y1") for name, points in left.items() if points]
    series += [(name, points, "x1y2") for name, points in (right or {}).items() if points]
    body = [f"set title {quoted(title)}", f"set xlabel {quoted(axes[0])}", f"set ylabel {quoted(axes[1])}", "set grid",
            "set key outside below horizontal noenhanced", "set yrange [0:*]"]
    body += ["set logscale xy", "set yrange [*:*]"] if logarithmic else []
    body += [f"set y2label {quoted(axes[2])}", "set y2tics", "set y2range [0:*]", "set ytics nomirror"] if right else []
    for i, (_, points, _) in enumerate(series):
        body += [f"$d{i} << END", *(f"{x} {y}" for x, y in points), "END"]
    body.append("plot " + ", ".join(f"$d{i} axes {where} with linespoints lw 2 pt 7 title {quoted(name)}"
                                    for i, (name, _, where) in enumerate(series)))
    return both(path, (720, 460), "\n".join(body) + "\n")


def ratios(folder, rows, groups, machines):
    """A plot a group, and one of the groups, against native, or against ring3 where nothing ran natively; returns the files."""
    base = "native" if "native" in machines else "ring3"
    files = []
    peers = [m for m in machines if m != base and any(r.get(f"{m}/{base}") for r in rows)]
    if not peers:
        return files
    for group in groups:
        members = [r for r in rows if r["group"] == group and any(r.get(f"{m}/{base}") for m in peers)]
        series = {m: [r.get(f"{m}/{base}") for r in members] for m in peers}
        series = {m: ratios for m, ratios in series.items() if any(ratios)}  # gnuplot draws no empty series
        if series:
            files += bars(folder / f"ratio-{group}", f"{group}: time against {WORDS[base]}", base, [r["name"] for r in members],
                          series)
    names = [g for g in groups if any(groups[g].get(f"{m}/{base}") for m in peers)]
    if names:
        files += bars(folder / "ratio-groups", "geometric means of the groups", base, names,
                      {m: [groups[g].get(f"{m}/{base}") for g in names] for m in peers})
    return files

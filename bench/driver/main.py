# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the same i386 programs natively, in ring3 and in QEMU's TCG, taking turns, several times, and
compares: bench/run [--quick | --full] [GROUP | GROUP/WORKLOAD]...

Groups: user, kernel, code, real (Debian's own programs), boot, nano (cycles of single operations), translator
(ring3's, alone). Default: all of them. The results go to the terminal, and as results.json and plots to a folder.

bench/run --scaling [ram | spaces | code | guests | busy]... measures how ring3 grows with memory, address spaces, code and
guests instead, and bench/run --overhead what looking inside costs."""

import argparse
import datetime
import fnmatch
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import bochs  # noqa: E402
import machines  # noqa: E402
import markdown  # noqa: E402
import measure  # noqa: E402
import overhead  # noqa: E402
import plots  # noqa: E402
import programs  # noqa: E402
import real  # noqa: E402
import report  # noqa: E402
import scaling  # noqa: E402
import translator  # noqa: E402
import verdict  # noqa: E402
import workloads  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="3 rounds: a quarter of an hour (the default)")
    size.add_argument("--full", action="store_true", help="longer workloads, 5 rounds: an hour or two")
    size.add_argument("--scaling", action="store_true", help="the scaling study")
    size.add_argument("--overhead", action="store_true", help="what -stats, -hot and the like cost")
    parser.add_argument("--rounds", type=int, help="how often each workload runs on each machine")
    parser.add_argument("--percent", type=int, help="size of the workloads; 100, the default, is 100 to 400 ms natively")
    parser.add_argument("--machines", help="which to run, of native, native64, ring3, qemu, bochs (default: native,ring3,qemu; "
                        "native64, other binaries, is for hosts that run no 32-bit programs)")
    parser.add_argument("--ring3", type=pathlib.Path, help="the binary to measure; without it, one is built")
    parser.add_argument("--ring3-options", default="", help="more options for ring3, as one word")
    parser.add_argument("-m", "--memory", type=int, default=256, help="guest memory in MiB")
    parser.add_argument("-o", "--output", type=pathlib.Path,
                        help="folder for results.json and the plots (default: build/bench/DATE)")
    parser.add_argument("--statistic", choices=("median", "min"), default="median",
                        help="what is compared; min on a machine that others use, too (default: %(default)s)")
    parser.add_argument("--results", type=pathlib.Path, metavar="FILE",
                        help="measure nothing: print a results.json as the tables of a README")
    parser.add_argument("-l", "--list", action="store_true", help="list the workloads and end")
    parser.add_argument("only", nargs="*", metavar="GROUP[/WORKLOAD]", help="patterns of what to run")
    return parser.parse_args()


APART = ("nano", "translator")  # groups that are no workloads


def make_plan(args):
    plan = workloads.Plan(percent=args.percent or (300 if args.full else 100), rounds=args.rounds or (5 if args.full else 3))
    for group in ("user", "kernel", "code"):
        workloads.program(plan, group)
    workloads.busybox(plan)
    real.plan_real(plan)
    workloads.boot(plan)
    if args.only:
        plan.workloads = [w for w in plan.workloads
                          if any(fnmatch.fnmatch(w.key, o) or w.group == o for o in args.only)]
        if not plan.workloads and not set(APART) & set(args.only):
            raise programs.Unavailable(f"no workload is called {' or '.join(args.only)}; -l lists them")
    return plan


def version(*command):
    try:
        out = subprocess.run(command, capture_output=True, text=True, cwd=programs.TOP).stdout
        return out.splitlines()[0] if out else ""
    except OSError:
        return ""


def circumstances(args, plan, cache):
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "cpu": model,
        "cpus": os.cpu_count(),
        "host": platform.platform(),
        "load": os.getloadavg(),
        "ring3": version("git", "describe", "--always", "--dirty"),
        "qemu": version("qemu-system-i386", "--version"),
        "gcc": version("gcc", "--version"),
        "guest": (cache / "686.version").read_text().strip() if (cache / "686.version").exists() else "",
        "busybox": (cache / "busybox.version").read_text().strip() if (cache / "busybox.version").exists() else "",
        "percent": plan.percent,
        "rounds": plan.rounds,
        "memory": args.memory,
        "command": sys.argv[1:],
    }


def make_runners(names, args, plan, work, cache, built):
    """The machines, and what boots, by workload."""
    needs, keys = {w.needs for w in plan.workloads if w.kind != "boot"}, {w.key for w in plan.workloads}
    images = {}
    if "" in needs:
        images[""] = programs.guest_image(programs.make_tree(work / "small", built, cache / "busybox"))
    tree = programs.make_tree(work / "tree", built, cache / "busybox", real.fetch() if "real" in needs else None)
    if "real" in needs:
        real.add_files(tree)
        images["real"] = programs.guest_image(tree)
    boots = {}
    if "boot/shell" in keys:
        boots["shell"] = machines.Boot(["-kernel", cache / "vmlinuz-686", "-initrd", programs.shell_image(
            work / "initramfs", cache / "busybox"), "-append", "console=ttyS0"], workloads.PROMPT)
    if "boot/debian" in keys:
        boots["debian"] = machines.Boot(["-drive", f"file={programs.debian_disk(built)},format=raw,if=ide", "-snapshot"],
                                        workloads.LOGIN)
    commands = {}
    if "ring3" in names:
        commands["ring3"] = [args.ring3 or programs.build_ring3(), *args.ring3_options.split()]
    commands["qemu"] = ["qemu-system-i386", "-M", "pc", "-accel", "tcg"]
    runners = []
    for name in names:
        if name == "native":
            runners.append(machines.Native(tree))
        elif name == "native64":
            built64, works = programs.compile_programs64(cache / "bench" / "bin64")
            runners.append(machines.Native(programs.make_tree(work / "native64", built64, cache / "busybox"), name, works))
        elif name == "bochs":
            runners.append(bochs.Bochs(cache / "vmlinuz-686", images, args.memory, programs.list_image, work))
        elif name in commands:
            runners.append(machines.Guest(name, commands[name], cache / "vmlinuz-686", images, args.memory,
                                          programs.list_image))
        else:
            raise programs.Unavailable(f"no machine is called {name}: native, native64, ring3, qemu or bochs")
    return runners, boots


def choose_machines(args, built):
    """The names, and why the bare CPU is not among them, if the host forbids it."""
    left_out = "" if programs.host_runs_i386(built) else programs.NO_NATIVE
    names = (args.machines or ("native64,ring3,qemu" if left_out else "native,ring3,qemu")).split(",")
    if left_out and "native" in names:
        raise programs.Unavailable(left_out)
    if left_out:
        print(left_out, flush=True)
    return names, left_out


def scratch():
    return tempfile.TemporaryDirectory(prefix="ring3-bench", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def native_callret(folder):
    """Cycles of a call and its return on the bare CPU."""
    out = subprocess.run([programs.compile_callret(folder)], capture_output=True, text=True).stdout
    return float(out) if out else None


def show(facts, plan, rows, nano, alone, verdicts, names, statistic):
    print(f"{facts['date']}, {facts['cpu']}, {facts['cpus']} CPUs, load {facts['load'][0]:.1f}; ring3 {facts['ring3']}; "
          f"{facts['qemu']}; {facts['guest']}")
    for name in names:
        if name in report.OTHER_BINARIES:
            print(report.OTHER_BINARIES[name])
    print(f"size {plan.percent}%, {plan.rounds} rounds, {facts['seconds']:.0f} s; {statistic} of the rounds; "
          f"of {', '.join(names)}: spread (max - min) / median; waited: share of the time without a CPU, left out")
    if rows:
        print(report.table(rows, names, statistic))
    if nano:
        print(report.nano_table(nano, facts["native callret"]))
    if alone:
        print(report.align([[*line, ""] for line in translator.lines(alone)]))
    for v in verdicts:
        print(v["text"])


def run(args):
    if args.results:
        print(markdown.render(json.loads(args.results.read_text())), end="")
        return 0
    if args.list:
        for w in make_plan(args).workloads:
            print(f"{w.key:28} {' '.join(w.argv)}")
        return 0
    cache = programs.cache_folder()
    built = programs.compile_programs(cache / "bench" / "bin")
    folder = args.output or programs.TOP / "build" / "bench" / datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    if args.scaling or args.overhead:
        programs.fetch("686", "busybox")
        folder.mkdir(parents=True, exist_ok=True)
        return (scaling if args.scaling else overhead).run(args.ring3 or programs.build_ring3(), args, cache, built, folder)
    plan = make_plan(args)
    names, left_out = choose_machines(args, built)
    programs.fetch("686", "busybox")
    nano, alone = {}, {}
    with scratch() as work:
        work = pathlib.Path(work)
        runners, boots = make_runners(names, args, plan, work, cache, built)
        with_nano = [r for r in runners if hasattr(r, "nano") and (not args.only or "nano" in args.only)]
        with_translator = "ring3" in names and (not args.only or "translator" in args.only)
        samples_a_round = (sum(len(measure.able(runners, w)) for w in plan.workloads if w.kind != "boot")
                           + len(measure.who_boots(runners)) * len(boots) + len(with_nano) + (1 if with_translator else 0))
        progress = measure.Progress(plan.rounds * samples_a_round)
        facts = circumstances(args, plan, cache)
        facts["left out"] = left_out
        facts["native callret"] = native_callret(work) if with_nano and not left_out else None
        begin = time.monotonic()
        samples = measure.measure(plan, runners, boots, progress)
        if with_nano:
            nano = measure.measure_nano(plan, with_nano, work, progress)
        if with_translator:
            alone = translator.measure(plan.rounds, progress, work, cache / "busybox")
        progress.end()
    facts["seconds"] = round(time.monotonic() - begin, 1)
    facts["waited"] = round(measure.session_totals(samples), 4)
    rows = report.evaluate(plan.workloads, samples, names, args.statistic)
    groups = report.groups(rows)
    verdicts = verdict.judge(rows, groups, nano, facts["native callret"], left_out)
    show(facts, plan, rows, nano, alone, verdicts, names, args.statistic)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(
        {"circumstances": facts, "workloads": rows, "groups": groups, "nano": nano, "translator": alone,
         "verdicts": verdicts}, indent=1) + "\n")
    files = plots.ratios(folder, rows, groups, names)
    print(f"results.json and {len(files)} plots are in {folder}")
    bad = [r for r in rows if not r["checksums_agree"] or any(m["errors"] for m in r["machines"].values())]
    return 1 if bad else 0


def main():
    # Guests have sessions of their own: they end when this program is unwound.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run(arguments())
    except programs.Unavailable as problem:
        print(f"bench/run: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

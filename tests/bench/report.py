"""From lines of figures to medians, a table and plots."""

import collections
import json
import shutil
import statistics
import subprocess

ORDER = ("plain", "kernel", "relay-offload", "relay", "tty", "pptpd")
NOT_KEYS = ("value", "unit", "server", "rep", "failed", "received", "sent")


def medians(figures):
    """{(case and its parameters): {server: (median, least, most)}} and units."""
    found, units = collections.defaultdict(lambda: collections.defaultdict(list)), {}
    for one in figures:
        if "value" in one:
            key = tuple((name, value) for name, value in one.items() if name not in NOT_KEYS)
            found[key][one["server"]].append(one["value"])
            units[key] = one["unit"]
    return {key: {server: (statistics.median(values), min(values), max(values))
                  for server, values in servers.items()}
            for key, servers in found.items()}, units


def label(key):
    case, *rest = key
    return " ".join([case[1], *(f"{name} {value}" for name, value in rest)])


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(entry):
    if not entry:
        return "-"
    middle, least, most = entry
    return number(middle) if least == most else f"{number(middle)} ({number(least)}-{number(most)})"


def table(found, units, servers):
    lines = ["| | " + " | ".join(servers) + " |", "|---" * (len(servers) + 1) + "|"]
    for key in found:
        lines.append(f"| {label(key)}, {units[key]} | "
                     + " | ".join(cell(found[key].get(server)) for server in servers) + " |")
    return lines


# What the goals are about: case, server, divided by server, goal.
RATIOS = (
    ("tcp-", "relay-offload", "kernel", "quiet", 0.95), ("tcp-", "relay", "kernel", "quiet", 0.7),
    ("packets-", "relay-offload", "kernel", None, 0.9), ("packets-", "relay", "kernel", None, 0.5),
    ("tcp-up", "relay", "plain", "jitter", 0.9), ("tcp-up", "relay", "plain", "loss", 0.9),
    ("tcp-up", "relay", "plain", "duplicate", 0.9),
    ("tcp-up", "relay-offload", "plain", "jitter", 0.9),
    ("tcp-up", "relay-offload", "plain", "loss", 0.9),
    ("tcp-", "relay", "pptpd", None, 10), ("tcp-", "relay-offload", "pptpd", None, 10),
    ("tcp-", "tty", "pptpd", None, 2), ("control", "relay", "pptpd", None, 8),
)


def ratios(found):
    lines = ["| ratio of medians | value | goal |", "|---|---|---|"]
    for case, above, below, path, goal in RATIOS:
        for key, servers in found.items():
            name = dict(key)
            if not name["case"].startswith(case) or above not in servers or below not in servers:
                continue
            if path and not name.get("path", path).startswith(path):
                continue
            if servers[below][0] > 0:
                lines.append(f"| {label(key)}: {above} / {below} | "
                             f"{servers[above][0] / servers[below][0]:.2f} | {goal} |")
    return lines


# -- plots -------------------------------------------------------------------------------

PLOTS = {   # name -> (case, what is on the x axis, title)
    "path": ("tcp-up", "path", "TCP upload by path, Mbit/s"),
    "packets-up": ("packets-up", "size", "Packets a second from the client, by size"),
    "packets-down": ("packets-down", "size", "Packets a second to the client, by size"),
    "cpu": ("cpu", "calls", "CPU per packet by calls behind one address, us"),
    "set-up": ("set-up", "at", "SYN to network up at simultaneous logins, ms"),
}


def plot(where, stem, found, servers):
    """Clustered bars; without gnuplot there are none."""
    for name, (case, axis, title) in PLOTS.items():
        rows = {}
        for key, by_server in found.items():
            words = dict(key)
            if words["case"] == case and axis in words:
                if case == "tcp-up" and words.get("calls") != 1:
                    continue
                if case == "set-up" and words.get("calls") == 1:
                    continue
                rows[words[axis]] = by_server
        here = [s for s in servers if any(s in by_server for by_server in rows.values())]
        if not rows or not here:
            continue
        data = "\n".join(" ".join([f'"{x}"', *(str(row[s][0]) if s in row else "NaN" for s in here)])
                         for x, row in rows.items())
        columns = ", ".join(f"$d using {i + 2}:xtic(1) title '{s}'" for i, s in enumerate(here))
        script = (f"set terminal svg size 800,400 dynamic background 'white'\n"
                  f"set output '{where / f'{stem}-{name}.svg'}'\nset title '{title}'\n"
                  f"set style data histograms\nset style fill solid 0.8 border -1\n"
                  f"set yrange [0:*]\nset key outside\n$d << EOD\n{data}\nEOD\nplot {columns}\n")
        subprocess.run(["gnuplot"], input=script, text=True, check=True)


# -- all of it ----------------------------------------------------------------------------

HOW = """\
Medians of {reps} interleaved repetitions of {seconds} s, least and most in parentheses.
Everything - clients, network, server - shares {machine}: figures compare only with one another,
and say nothing about the Mbit/s of a real machine. `plain` is TCP without a VPN on the same path, with
the same segment size and no offloads; `kernel` is pppd on the kernel's PPTP socket; `relay` our default
in user space; `pptpd` the distribution's PoPToP. The client is pppd on the kernel's PPTP socket; for
logins, CPU and memory it is pptpload.
"""
MACHINES = {"uml": "one CPU of User-Mode Linux, whose system calls are dear and whose BPF has no JIT",
            "qemu": "two CPUs that QEMU emulates in software, under a stock kernel with JIT"}


def write(where, about, figures):
    """RESULTS/BACKEND.jsonl, .md and BACKEND-*.svg."""
    where.mkdir(parents=True, exist_ok=True)
    stem = about["backend"]
    with open(where / f"{stem}.jsonl", "w") as out:
        for line in [dict(about, case="about"), *figures]:
            out.write(json.dumps(line) + "\n")
    found, units = medians(figures)
    servers = [s for s in ORDER if any(s in by_server for by_server in found.values())]
    kernel = [one["release"] for one in figures if one["case"] == "kernel"]
    failed = [one for one in figures if "failed" in one]
    text = [f"# {stem}: Debian {about['release']}, kernel {' '.join(kernel)}, {about['date']}, "
            f"{about['commit']}", "", HOW.format(machine=MACHINES[stem], **about),
            *table(found, units, servers), "", "## Goals", "", *ratios(found)]
    if failed:
        text += ["", "## Not measured", ""]
        text += [f"- {one['case']} {one['server']}: {one['failed']}" for one in failed]
    (where / f"{stem}.md").write_text("\n".join(text) + "\n")
    if shutil.which("gnuplot"):
        plot(where, stem, found, servers)
    else:
        print("bench: no gnuplot, so no plots", flush=True)
    print(f"bench: {where / f'{stem}.md'}", flush=True)

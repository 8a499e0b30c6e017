"""From lines of figures to medians, a table, goals and plots."""

import collections
import json
import shutil
import statistics

import goals
import plots

ORDER = ("plain", "bare", "kernel", "relay-offload", "relay", "relay-threads",
         "tty", "pptpd")
NOT_KEYS = ("value", "unit", "server", "rep", "failed", "received", "sent")


class Figures:
    """Medians, least and most of all that was measured, by case and parameters."""

    def __init__(self, lines):
        found = collections.defaultdict(lambda: collections.defaultdict(list))
        self.units = {}
        for one in lines:
            if "value" in one:
                key = tuple((name, value) for name, value in one.items() if name not in NOT_KEYS)
                found[key][one["server"]].append(one["value"])
                self.units[key] = one["unit"]
        self.by_key = {key: {server: (statistics.median(values), min(values), max(values))
                             for server, values in servers.items()}
                       for key, servers in found.items()}
        self.servers = [s for s in ORDER if any(s in row for row in self.by_key.values())]

    def get(self, server, **words):
        """The median of that server in the one case that has exactly these words, or None."""
        row = self.by_key.get(tuple(words.items()), {})
        return row[server][0] if server in row else None

    def cases(self, **words):
        """The words of each case that has at least these."""
        return [dict(key) for key in self.by_key if words.items() <= dict(key).items()]


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


def table(figures):
    servers = figures.servers
    lines = ["| | " + " | ".join(servers) + " |", "|---" * (len(servers) + 1) + "|"]
    for key, row in figures.by_key.items():
        lines.append(f"| {label(key)}, {figures.units[key]} | "
                     + " | ".join(cell(row.get(server)) for server in servers) + " |")
    return lines


HOW = """\
Medians of up to {reps} interleaved repetitions of {seconds:g} s, least and most in parentheses.
Everything - clients, network, server - shares {machine}: figures compare only with one another,
and say nothing about the Mbit/s of a real machine. `plain` is TCP without a VPN on the same path, with
the same segment size and no offloads; `bare` starts pppds on the kernel's PPTP socket and does nothing
else; `kernel` is our data path on that socket; `relay` our default in user space; `pptpd` the
distribution's PoPToP. The client is pppd on the kernel's PPTP socket; for logins, CPU and memory it is
pptpload.
"""
MACHINES = {"uml": "one CPU of User-Mode Linux, whose system calls are dear and whose BPF has no JIT",
            "qemu": "two CPUs that QEMU emulates in software, under a stock kernel with JIT"}


def write(where, about, lines):
    """WHERE/BACKEND.jsonl, .md and BACKEND-*.svg."""
    where.mkdir(parents=True, exist_ok=True)
    stem = about["backend"]
    with open(where / f"{stem}.jsonl", "w") as out:
        for line in [dict(about, case="about"), *lines]:
            out.write(json.dumps(line) + "\n")
    rewrite(where, stem)


def rewrite(where, stem):
    """Table and plots anew from BACKEND.jsonl."""
    lines = [json.loads(line) for line in open(where / f"{stem}.jsonl")]
    about, figures = lines[0], Figures(lines)
    kernel = [one["release"] for one in lines if one["case"] == "kernel"]
    failed = [one for one in lines if "failed" in one]
    backlog = f", netdev_max_backlog {about['backlog']}" if about.get("backlog") else ""
    text = [f"# {stem}: Debian {about['release']}, kernel {' '.join(kernel)}, {about['date']}, "
            f"{about['commit']}{backlog}", "", HOW.format(machine=MACHINES[stem], **about),
            "## Goals", "", *goals.table(figures, stem), "", "## Figures", "", *table(figures)]
    if failed:
        text += ["", "## Not measured", ""]
        text += [f"- {one['case']} {one['server']}: {one['failed']}" for one in failed]
    (where / f"{stem}.md").write_text("\n".join(text) + "\n")
    if shutil.which("gnuplot"):
        plots.draw(where, stem, figures)
    else:
        print("bench: no gnuplot, so no plots", flush=True)
    print(f"bench: {where / f'{stem}.md'}", flush=True)

"""Plots of the measurements, by gnuplot."""

import subprocess

from goals import JITTER, LOSS

COLORS = {"plain": "#888888", "bare": "#bbbbbb", "kernel": "#d95f02", "relay-offload": "#1b9e77",
          "relay": "#1f78b4", "relay-threads": "#a6cee3", "tty": "#7570b3", "pptpd": "#e7298a"}


def paths(figures, kind, steps):
    """(x, case) of uploads with more and more of it; the first has the same delay and none."""
    return [(x, dict(case="tcp-up", path=path, calls=1))
            for x, path in [("0", "delay-2"), *((step, f"{kind}-{step}") for step in steps)]]


def quiet(figures):
    return [(f"{words['case'][4:]}, {words['calls']}", words)
            for words in sorted(figures.cases(path="quiet"), key=lambda words: words["calls"])]


def sizes(figures, direction):
    found = sorted(words["size"] for words in figures.cases(case=f"packets-{direction}"))
    return [(str(size), dict(case=f"packets-{direction}", size=size)) for size in found]


def calls(figures):
    found = sorted(words["calls"] for words in figures.cases(case="cpu"))
    return [(str(count), dict(case="cpu", calls=count)) for count in found]


def logins(figures):
    counts = [words["calls"] for words in figures.cases(case="set-ups")]
    return [(at, dict(case="set-up", calls=count, at=at)) for count in counts
            for at in ("median", "p90", "p99", "max")]


# file -> (title, x axis, y axis, logarithmic, lines rather than bars, the cases)
def all_of(figures):
    return {
        "tcp": ("TCP on a quiet network", "direction, calls", "Mbit/s", True, False, quiet(figures)),
        "jitter": ("TCP upload by jitter (2 ms delay; 10 ms with 5)", "ms of jitter", "Mbit/s",
                   True, True, paths(figures, "jitter", JITTER)),
        "loss": ("TCP upload by loss (2 ms delay)", "% lost", "Mbit/s", True, True,
                 paths(figures, "loss", LOSS)),
        "packets-up": ("Packets per second from the client, by size", "bytes", "packets per second",
                       False, False, sizes(figures, "up")),
        "packets-down": ("Packets per second to the client, by size", "bytes", "packets per second",
                         False, False, sizes(figures, "down")),
        "cpu": ("CPU per packet by calls behind one address", "calls", "us", True, True,
                calls(figures)),
        "set-up": ("SYN to network up, simultaneous logins", "of all logins", "ms", False, False,
                   logins(figures)),
    }


def draw(where, stem, figures):
    """WHERE/STEM-*.svg; what was not measured has none."""
    for name, (title, x, y, logarithmic, lines, cases) in all_of(figures).items():
        rows = [(at, [figures.get(server, **words) for server in figures.servers])
                for at, words in cases]
        here = [i for i, _ in enumerate(figures.servers)
                if any(row[i] is not None for _, row in rows)]
        target = where / f"{stem}-{name}.svg"
        target.unlink(missing_ok=True)
        if sum(any(value is not None for value in row) for _, row in rows) < 2:
            continue    # one point is no plot
        data = "\n".join(f'"{at}" ' + " ".join("NaN" if row[i] is None else str(row[i])
                                               for i in here) for at, row in rows)
        style = "with linespoints lw 2 pt 7 ps 0.5" if lines else ""
        curves = ", ".join(
            f"$d using {n + 2}:xtic(1) {style} lc rgb '{COLORS[figures.servers[i]]}' "
            f"title '{figures.servers[i]}'" for n, i in enumerate(here))
        script = f"""set terminal svg size 720,360 background 'white'
set output '{target}'
set title '{title}'
set xlabel '{x}'
set ylabel '{y}'
set xrange [-0.5:{len(rows) - 0.5}]
{'set logscale y' if logarithmic else 'set yrange [0:*]'}
{'' if lines else 'set style data histograms'}
set style fill solid 0.8 noborder
set grid ytics
set key outside
$d << EOD
{data}
EOD
plot {curves}
"""
        subprocess.run(["gnuplot"], input=script, text=True, check=True)

"""What the measurements are held against: each goal is a row with a figure of ours, the least or
the most that is wanted, and whether it is there."""

JITTER, LOSS = ("0.2", "1", "5"), ("0.1", "1", "3")
ORDERED = {"jitter-5": "delay-10"}      # the same path without its trouble; else delay-2


def table(figures, backend):
    """Lines of Markdown. backend: rows that say nothing there are left out."""
    lines = ["| goal | measured | wanted | |", "|---|---|---|---|"]
    for row in rows(figures, backend):
        lines.append("| " + " | ".join(row) + " |")
    return lines


def judge(text, value, wanted, least=True, shown=None):
    """A row; value None: not measured."""
    bound = f"{'>=' if least else '<='} {wanted:g}"
    if value is None:
        return text, "-", bound, "not measured"
    met = value >= wanted if least else value <= wanted
    return text, shown or f"{value:.2f}", bound, "met" if met else "**missed**"


def over(figures, above, below, **words):
    """Our median by the other's."""
    ours, theirs = figures.get(above, **words), figures.get(below, **words)
    return ours / theirs if ours is not None and theirs else None


def speeds(figures, above, below, wanted, paths=("quiet",), calls=(1, 10)):
    """A row for each case of TCP."""
    for words in figures.cases():
        if words["case"].startswith("tcp-") and words["path"] in paths and words["calls"] in calls:
            yield judge(f"{above} / {below}: {words['case']}, {words['path']}, "
                        f"{words['calls']} call{'s' if words['calls'] > 1 else ''}",
                        over(figures, above, below, **words), wanted)


def packets(figures, above, below, wanted):
    for words in figures.cases():
        if words["case"].startswith("packets-") and words["size"] in (64, 200):
            yield judge(f"{above} / {below}: {words['case']}, {words['size']} bytes",
                        over(figures, above, below, **words), wanted)


def troubled(figures, ours):
    """Against TCP without a VPN; since RC4 alone makes that unlike, also how much each keeps of
    what it has on the same path in order. The goal is about the latter."""
    for path in (*(f"jitter-{j}" for j in JITTER), *(f"loss-{p}" for p in LOSS), "duplicate-1"):
        here = dict(case="tcp-up", path=path, calls=1)
        ordered = dict(here, path=ORDERED.get(path, "delay-2"))
        plain = over(figures, ours, "plain", **here)
        in_order = over(figures, ours, "plain", **ordered)
        kept = plain / in_order if plain is not None and in_order else None
        yield judge(f"{ours} / plain: upload, {path}; over the same ratio without it", kept, 0.9,
                    shown=kept and f"{plain:.2f}; {kept:.2f}")


def round_trips(figures, ours, wanted):
    for load in "idle", "half":
        for part in 50, 99:
            words = dict(case="round-trip", percentile=part, load=load)
            mine, kernel = figures.get(ours, **words), figures.get("kernel", **words)
            added = mine - kernel if mine is not None and kernel is not None else None
            yield judge(f"{ours} - kernel: round trip, {load} load, {part} %, ms", added,
                        wanted[part], least=False)


def logins(figures, ours):
    alone = dict(case="set-up", calls=1, at="median")
    mine, bare = figures.get(ours, **alone), figures.get("bare", **alone)
    yield judge(f"{ours} - bare pppd: SYN to network up, ms",
                mine - bare if mine is not None and bare is not None else None, 10, least=False)
    for words in figures.cases(case="set-ups"):
        yield judge(f"{ours} / bare pppd: {words['calls']} logins at once, set-ups per second",
                    over(figures, ours, "bare", **words), 0.9)
        whole = {**words, "case": "set-ups-whole"}
        yield judge(f"{ours} / bare pppd: {words['calls']} logins at once, the same with their "
                    "scripts", over(figures, ours, "bare", **whole), 0.9)


def sizes(figures, ours):
    for per, wanted in ("call", 100), ("connection", 2):
        yield judge(f"{ours}: memory per {per} beside pppd, kB",
                    figures.get(ours, case="memory", per=per), wanted, least=False)


def cpu(figures, ours):
    one, many = (figures.get(ours, case="cpu", calls=calls) for calls in (1, 200))
    yield judge(f"{ours}: CPU per packet, 200 calls / 1 call",
                many / one if many is not None and one else None, 1.2, least=False)


def rows(figures, backend):
    if backend == "qemu":       # with a JIT
        yield from speeds(figures, "relay-offload", "kernel", 0.95, ("quiet", "overtaking"))
        yield from packets(figures, "relay-offload", "kernel", 0.9)
        yield from round_trips(figures, "relay-offload", {50: 0.1, 99: 2})
        return
    yield from speeds(figures, "relay", "kernel", 0.7)
    yield from packets(figures, "relay", "kernel", 0.5)
    for ours in "relay", "relay-offload":
        yield from troubled(figures, ours)
    paths = {words["path"] for words in figures.cases() if "path" in words}
    for ours in "relay", "relay-offload":
        yield from speeds(figures, ours, "pptpd", 10, paths)
    yield from speeds(figures, "tty", "pptpd", 2, calls=(1,))
    yield from cpu(figures, "relay")
    yield from round_trips(figures, "relay-offload", {50: 0.1, 99: 2})
    yield from round_trips(figures, "relay", {50: 2, 99: 2})
    yield from logins(figures, "relay")
    yield from sizes(figures, "relay")
    yield judge("relay / pptpd: connect, SCCRQ, SCCRP, close, per second",
                over(figures, "relay", "pptpd", case="control"), 8)

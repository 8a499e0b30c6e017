"""`make bench`: boots a guest for each backend, has tests/bench/guest.py measure in it, writes
results/: all figures as lines of JSON, tables of medians and goals, plots."""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))
sys.path.insert(0, str(HERE))

from host import run  # noqa: E402
from host.build import build  # noqa: E402
from host.common import LabError, REPO, need_root  # noqa: E402
import report  # noqa: E402

SILENCE = 900       # seconds without a word: the guest hangs
# Q: User-Mode Linux has no JIT, QEMU has no time for more.
SERVERS = {"uml": "plain,bare,kernel,relay-offload,relay,tty,pptpd",
           "qemu": "kernel,relay-offload,relay,relay-threads"}


def measure(backend, args, keep):
    """All figures of one boot; keep() is told of each."""
    kind = run.BACKENDS[backend]
    run.make_ready([args.release], kind)
    command = ["python3", "-B", "/lab/repo/tests/bench/guest.py", "--backend", backend,
               "--reps", str(args.reps), "--seconds", str(args.seconds),
               "--minutes", str(args.minutes), "--servers", args.servers or SERVERS[backend],
               "--only", args.only, "--backlog", str(args.backlog),
               *(["--quick"] if args.quick else [])]
    job, rest, begun = {"do": "exec", "command": command}, "", time.monotonic()
    with kind(args.release, job, build(args.release)) as guest:
        try:
            for event in guest.follow(lambda: SILENCE):
                if event["event"] == "booted":
                    keep({"case": "kernel", "release": event["kernel"]})
                if event["event"] != "output":
                    continue
                *lines, rest = (rest + event["data"]).split("\n")
                for line in lines:
                    take(line, keep, begun)
        except TimeoutError:        # what there is so far is worth keeping
            keep({"case": "guest", "server": "-", "failed": f"silent for {SILENCE} s, killed"})


def take(line, keep, begun):
    try:
        found = json.loads(line)
    except ValueError:
        print(f"  {line}", flush=True)
        return
    keep(found)
    words = [f"{name}={value}" for name, value in found.items()
             if name not in ("case", "server", "value", "unit", "failed")]
    value = f"FAILED: {found['failed']}" if "failed" in found else f"{found['value']:g} {found['unit']}"
    print(f"{time.monotonic() - begun:7.0f} s  {found['case']:14}{found['server']:14}{value:>18}  "
          + " ".join(words), flush=True)


def commit():
    done = subprocess.run(["git", "-C", str(REPO), "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/bench")
    parser.add_argument("--backend", action="append", choices=run.BACKENDS,
                        help="uml or qemu; may be repeated (both)")
    parser.add_argument("--release", default="12")
    parser.add_argument("--quick", action="store_true", help="few minutes, few figures")
    parser.add_argument("--reps", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=0, help="of each measurement of speed")
    parser.add_argument("--minutes", type=float, default=0,
                        help="of a backend: later repetitions are left out when they are over")
    parser.add_argument("--only", default="", help="one-call, ten-calls, logins, cpu, memory")
    parser.add_argument("--servers", default="", help="only these, with commas")
    parser.add_argument("--backlog", type=int, default=0,
                        help="net.core.netdev_max_backlog: frames that wait at a CPU")
    parser.add_argument("--results", default=str(HERE / "results"))
    args = parser.parse_args()
    known = {name for names in SERVERS.values() for name in names.split(",")}
    unknown = set(args.servers.split(",")) - {"", *known}
    if unknown:
        parser.error(f"no server is called {', '.join(sorted(unknown))}: {', '.join(sorted(known))}")
    args.reps = args.reps or (1 if args.quick else 5)
    args.seconds = args.seconds or (2 if args.quick else 3)
    need_root()
    for backend in args.backend or run.BACKENDS:
        print(f"bench: {backend}, Debian {args.release}, {args.reps} repetitions", flush=True)
        about = dict(backend=backend, release=args.release, date=str(datetime.date.today()),
                     commit=commit(), reps=args.reps, seconds=args.seconds, quick=args.quick,
                     backlog=args.backlog)
        figures = []
        try:
            measure(backend, args, figures.append)
        finally:                    # an interrupted run has figures too
            if len(figures) > 1:
                report.write(pathlib.Path(args.results), about, figures)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        os._exit(1)
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        os._exit(2)

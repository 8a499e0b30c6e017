"""The measurements of `make bench`, in a guest of the lab; tests/bench/bench.py collects what it
prints. Each server's measurements are a process of their own, with servers, clients and network
of its own: one that fails, or hangs, costs itself only."""

import argparse
import functools
import os
import select
import shutil
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, "/lab/repo/tests/lab/guest")

from lab import Lab, processes  # noqa: E402
import runner  # noqa: E402
import shares  # noqa: E402
import wires  # noqa: E402
from measure import Bench, OUT, PATHS, SERVERS, attempt, failed  # noqa: E402

PATIENCE = {"one-call": 240, "ten-calls": 240, "logins": 240, "cpu": 300, "memory": 240}

QUICK_PATHS = ("quiet", "jitter-0.2", "loss-1")
ORDERS = ("quiet", "overtaking")            # with several CPUs
CPU_PATHS = (*ORDERS, "delay-2", "jitter-0.2", "jitter-1")
# tty is compared with pptpd only, and on the quiet path; plain is no server.
NO_PATHS, NO_PACKETS = ("tty",), ("tty", "plain")


def one_call(bench, name, args):
    if args.backend == "qemu":
        paths = CPU_PATHS
    elif name in NO_PATHS:
        paths = ("quiet",)
    else:
        paths = QUICK_PATHS if args.quick else ("quiet", *(path for path in PATHS if PATHS[path]))
    sizes = () if name in NO_PACKETS else (64, 1396) if args.quick else (64, 200, 1396)
    bench.one_call(paths, sizes, name not in NO_PACKETS)


def ten_calls(bench, name, args):
    bench.throughput(10, ORDERS if args.backend == "qemu" else ("quiet",))


def plan(names, args):
    """(what, server, repetition, function of a Bench): every row of the table of goals first,
    then the repetitions of what a table of medians needs."""
    uml = args.backend == "uml"
    if uml:     # with one CPU there are none
        names = [name for name in names if name != "relay-threads"]
    served = [name for name in names if SERVERS[name]]
    work = []

    def add(rep, what, servers, function):
        for name in servers:
            if name in names:
                work.append((what, name, rep, functools.partial(function, name=name, args=args)))

    def throughput(rep):
        add(rep, "one-call", [name for name in names if name != "bare"], one_call)
        if not args.quick:
            add(rep, "ten-calls", [name for name in served if name not in NO_PATHS], ten_calls)

    def logins(rep, servers):
        add(rep, "logins", servers,
            lambda bench, name, args: bench.logins(20 if args.quick else 100))

    def cpu(rep, counts):
        for count in counts:
            add(rep, "cpu", ("relay", "relay-offload", "pptpd"),
                lambda bench, name, args, count=count: bench.cpu_per_packet(count))

    throughput(0)
    if uml:
        logins(0, ["bare", *served])
        cpu(0, (1, 20) if args.quick else (1, 200))
        add(0, "memory", served, lambda bench, name, args: bench.memory(10 if args.quick else 50))
        if not args.quick:
            cpu(0, (20,))
    for rep in range(1, args.reps):
        throughput(rep)
        if uml:
            logins(rep, ("bare", "relay"))
    return work


def perform(what, name, rep, function, args):
    where = f"{OUT}/{what}-{name}"
    shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where)
    runner.own_world()
    lab = Lab(None, where)
    with attempt(what, name):
        function(Bench(lab, name, args, rep))
    lab.close()


def alone(what, name, rep, function, args):
    """In a child; whatever is left of it is killed, and its namespaces are gone with it."""
    keep = set(processes.pids())
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            perform(what, name, rep, function, args)
        except BaseException as error:      # pylint: disable=broad-except
            failed(what, name, f"{type(error).__name__}: {error}", rep=rep)
        finally:
            sys.stdout.flush()
            os._exit(0)
    pidfd = os.pidfd_open(child)
    patience = PATIENCE[what] * processes.SLOWER
    ready, _, _ = select.select([pidfd], [], [], patience)
    os.close(pidfd)
    if not ready:
        os.kill(child, signal.SIGKILL)
        failed(what, name, f"not done after {patience:.0f} s", rep=rep)
    os.waitpid(child, 0)
    runner.kill_all_but(keep)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", default="uml")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--servers", default="")
    parser.add_argument("--only", default="")
    parser.add_argument("--backlog", type=int, default=0)
    args = parser.parse_args()
    asked = args.servers.split(",") if args.servers else SERVERS
    names = [name for name in SERVERS if name in asked]
    shutil.rmtree(OUT, ignore_errors=True)
    with attempt("shares", "-"):
        shares.divide()
    if args.backlog:
        wires.queue_up_to(args.backlog)
    begun, took = time.monotonic(), {}
    for what, name, rep, function in plan(names, args):
        if args.only and what not in args.only.split(","):
            continue
        left = begun + args.minutes * 60 - time.monotonic()
        if args.minutes and left < took.get((what, name), 0):
            failed(what, name, f"no time left for repetition {rep}", rep=rep)
            continue
        start = time.monotonic()
        alone(what, name, rep, function, args)
        took[what, name] = max(took.get((what, name), 0), time.monotonic() - start)
        print(f"{what} {name} took {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()

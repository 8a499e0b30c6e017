"""Command line of the wire suite."""

import argparse
import concurrent.futures
import fnmatch
import json
import os
import socket
import sys
import threading
import time

from lab import LabError, pptp

from . import cases_control, cases_gre, cases_ppp, cases_tcp, elsewhere, profiles, table  # noqa: F401
from .case import Failed, NotHere, registry
from .target import Target

SLOW_AT_ONCE = 16
BESIDE_EVERY = 0.2      # seconds; five Echo-Requests a second


class Beside:
    """Another client's connection; how long its Echo-Requests wait is what others suffer."""

    def __init__(self, target):
        self.target, self.worst, self.ended = target, 0.0, threading.Event()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def work(self):
        control = None
        while not self.ended.wait(BESIDE_EVERY):
            began = time.monotonic()
            try:
                control = control or self.target.greeted(self.target.other)
                control.send(pptp.echorq(1))
                control.receive(pptp.ECHORP)
            except (OSError, LabError):
                control = None      # without a call it is closed now and then
                continue
            with self.lock:
                self.worst = max(self.worst, time.monotonic() - began)

    def take(self):
        """The worst since the last look, in ms."""
        with self.lock:
            worst, self.worst = self.worst, 0.0
        return worst * 1000


def perform(one, target):
    """(verdict, reason, seconds, wall-clock start)"""
    began, wall = time.monotonic(), time.time()
    try:
        one.function(target)
        verdict, reason = "ok", ""
    except NotHere as why:
        verdict, reason = "not here", str(why)
    except Failed as why:
        verdict, reason = "FAILED", str(why)
    except (OSError, LabError) as error:
        verdict, reason = "FAILED", f"{type(error).__name__}: {error}"
    return verdict, reason, time.monotonic() - began, wall


def perform_again(one, target):
    """For servers that now and then drop a newcomer: what fails without waiting may be that."""
    outcome = perform(one, target)
    if outcome[0] == "FAILED" and outcome[2] < target.patience:
        outcome = perform(one, target)
    return outcome


def chosen(words):
    if not words:
        return list(registry.values())
    picked = [c for c in registry.values()
              if any(w == c.id or fnmatch.fnmatchcase(c.id, w) for w in words)]
    if not picked:
        sys.exit(f"no case is called {' '.join(words)} (see --list)")
    return picked


def parser():
    top = argparse.ArgumentParser(prog="run", description="Conformance, client profiles and abuse "
                                  "against a PPTP server. Needs root, and a server that may suffer.")
    top.add_argument("server", nargs="?", metavar="SERVER", help="its IPv4 address")
    top.add_argument("--local", metavar="ADDR", help="our address (default: the route's)")
    top.add_argument("--other", metavar="ADDR", help="a second address of ours")
    top.add_argument("--alias", metavar="ADDR", help="a second address of the server")
    top.add_argument("--spare", metavar="ADDR", help="an address in our network that nobody has")
    top.add_argument("--first-wait", type=float, default=10, metavar="SECONDS",
                     help="how long the server waits for the first message (default 10)")
    top.add_argument("--patience", type=float, default=30, metavar="SECONDS",
                     help="silence that is a failure (default 30)")
    top.add_argument("--serial", action="store_true",
                     help="one case at a time: for servers that one silent client stops")
    top.add_argument("--again", action="store_true",
                     help="try what fails at once (not by silence) a second time")
    top.add_argument("--list", action="store_true", help="only say which cases there are")
    top.add_argument("--ids", dest="ids_table", action="store_true",
                     help="the abuse list and where it is tested, as ABUSE.md")
    top.add_argument("--json", metavar="FILE", help="write the results there, too")
    top.add_argument("ids", nargs="*", metavar="ID", help="these only, or patterns ('G*')")
    return top


class Report:
    def __init__(self, path):
        self.results, self.path, self.lock = {}, path, threading.Lock()

    def add(self, one, outcome, beside):
        verdict, reason, seconds, wall = outcome
        with self.lock:
            self.results[one.id] = {"text": one.text, "verdict": verdict, "reason": reason,
                                    "seconds": round(seconds, 3), "start": wall,
                                    "beside_ms": round(beside, 1)}
            print(f"{one.id:28} {verdict:8} {seconds:6.2f} s  others {beside:5.0f} ms  {reason}",
                  flush=True)

    def conclude(self):
        if self.path:
            with open(self.path, "w") as out:
                json.dump(self.results, out, indent=1)
        verdicts = [r["verdict"] for r in self.results.values()]
        print(f"{verdicts.count('ok')} passed, {verdicts.count('FAILED')} failed, "
              f"{verdicts.count('not here')} skipped")
        return 1 if "FAILED" in verdicts else 0


def run_all(target, cases, report, serial, how):
    """The slow ones wait in threads while the others run one after the other."""
    slow = [] if serial else [c for c in cases if c.slow]
    with Beside(target) as beside, \
            concurrent.futures.ThreadPoolExecutor(SLOW_AT_ONCE) as pool:
        waiting = {pool.submit(how, c, target): c for c in slow}
        for one in cases:
            if one not in slow:
                beside.take()
                outcome = how(one, target)
                report.add(one, outcome, beside.take())
        for done in concurrent.futures.as_completed(waiting):
            report.add(waiting[done], done.result(), 0)


def ids_table():
    text, wrong = elsewhere.table()
    print(text, end="")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def main():
    args = parser().parse_intermixed_args()
    if args.ids_table:
        return ids_table()
    # A word that is no address is an id: SERVER may be left out with --list.
    if args.list:
        for one in chosen([w for w in [args.server, *args.ids] if w and "." not in w]):
            print(f"{one.id:28} {one.text}")
        return 0
    if not args.server:
        sys.exit("whom? give the server's address")
    if os.geteuid() != 0:
        sys.exit("raw GRE sockets need root")
    target = Target(socket.gethostbyname(args.server), args.local, args.other, args.alias,
                    args.first_wait, args.spare, args.patience)
    report = Report(args.json)
    run_all(target, chosen(args.ids), report, args.serial, perform_again if args.again else perform)
    return report.conclude()

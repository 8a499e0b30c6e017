"""Command line of the lab."""

import argparse
import os
import signal
import subprocess
import sys

from .common import LabError, RELEASES, need_root
from . import guest, prepare, qemu, run


def parser():
    top = argparse.ArgumentParser(prog="lab", description="Boots guests of "
                                  "Debian 12 and 13 and runs scenarios in them.")
    commands = top.add_subparsers(dest="command", required=True)

    get = commands.add_parser("prepare", help="get all that is needed, once")
    get.add_argument("--release", choices=[*RELEASES, "all"], default="all")
    get.add_argument("--backend", choices=run.BACKENDS, default="uml", help="what guests run on")

    one = commands.add_parser("run", help="run scenarios on one release")
    add_release(one)
    one.add_argument("--list", action="store_true", help="only say which there are")
    one.add_argument("--repeat", type=int, default=1, metavar="N", help="each N times, in one boot")
    one.add_argument("names", nargs="*", metavar="NAME|GROUP|DATAPATH|PATTERN")

    both = commands.add_parser("check", help="all scenarios on both releases, side by side")
    both.add_argument("--no-build", action="store_true")

    soak = commands.add_parser("soak", help="the long scenarios, which check leaves out")
    soak.add_argument("--release", choices=[*RELEASES, "all"], default="all")
    soak.add_argument("--list", action="store_true", help="only say which there are")
    soak.add_argument("names", nargs="*", metavar="NAME|GROUP|DATAPATH|PATTERN")

    add_release(commands.add_parser("shell", help="a root shell in a guest with the namespaces"))

    execute = commands.add_parser("exec", help="one command in a guest")
    add_release(execute)
    execute.add_argument("--network", action="store_true", help="build the namespaces first")
    execute.add_argument("--systemd", action="store_true", help="in a guest whose first process that is")
    execute.add_argument("argv", nargs="+", metavar="-- COMMAND")
    return top


def add_release(command):
    command.add_argument("--release", choices=RELEASES, default="12")
    command.add_argument("--no-build", action="store_true",
                         help="without our own server: for work on the lab itself")
    command.add_argument("--backend", choices=run.BACKENDS, default="uml",
                         help="qemu: a stock kernel with JIT on two emulated CPUs, much slower")


def dispatch(args):
    if args.command == "prepare":
        prepare.prepare(RELEASES if args.release == "all" else [args.release])
        if args.backend == "qemu":
            qemu.prepare()
        return 0
    if args.command == "run":
        return run.run([args.release], args.names, args.list, args.repeat, args.no_build,
                       backend=args.backend)
    if args.command == "check":
        return run.check(args.no_build)
    if args.command == "soak":
        return run.run(RELEASES if args.release == "all" else [args.release], args.names, args.list,
                       long=True)
    if args.command == "shell":
        return keep_terminal(lambda: run.shell(args.release, args.no_build, args.backend))
    return run.execute(args.release, args.argv, args.network, args.systemd, args.no_build,
                       args.backend)


def keep_terminal(action):
    """User-Mode Linux leaves the terminal in raw mode when it is killed."""
    saved = subprocess.run(["stty", "-g"], capture_output=True, text=True).stdout.strip()
    try:
        return action()
    finally:
        if saved:
            subprocess.run(["stty", saved], check=False)


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    args = parser().parse_args()
    signal.signal(signal.SIGTERM, interrupted)
    try:
        if not getattr(args, "list", False):
            need_root()
        return dispatch(args)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr, flush=True)
        guest.kill_all()
        os._exit(130)       # not sys.exit: threads that follow other guests would be waited for

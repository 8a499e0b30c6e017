"""`make demo`: has the lab made ready, the server built, and passes on what the guest's half
(lab/guest/demo.py) shows. tests/demo has said before what will happen."""

import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lab"))

from host import guest, prepare  # noqa: E402
from host.build import build  # noqa: E402
from host.common import LabError, OUT, RELEASES, REPO, extras, need_root  # noqa: E402

LOGS = OUT / "demo"
PATIENCE = 240          # seconds without a word: the guest hangs
NO_PPP = 96             # exit status of on_machine.sh


class Failure(Exception):
    """What went wrong, in one line."""


class Stage:
    """Which one is on, for the line that tells of a failure."""
    name = "Getting ready"


@contextlib.contextmanager
def stage(name):
    Stage.name = name
    yield


@contextlib.contextmanager
def dots(text):
    """A dot a second while something takes its time, then how long it took."""
    begun, done = time.monotonic(), threading.Event()

    def work():
        while not done.wait(1):
            print(".", end="", flush=True)

    print(f"  {text} ", end="", flush=True)
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        print(f" {time.monotonic() - begun:.0f} s", flush=True)


def make_ready(args):
    """The stage directory of the build."""
    with stage("Getting ready"):
        need_root()
        if not prepare.is_ready(args.release):
            prepare.prepare([args.release])
    if args.no_build:
        return OUT / f"stage-{args.release}"
    with stage("Building"), dots(f"Building the server and the plugin for Debian {args.release}'s pppd"):
        return build(args.release)


# -- in a guest -----------------------------------------------------------------------

def guest_command(args):
    return ["python3", "-B", "/lab/repo/tests/lab/guest/demo.py", "--seconds", str(args.seconds)]


def run_in_guest(args, built):
    job = {"do": "exec", "command": guest_command(args)}
    status = None
    with guest.Guest(args.release, job, built) as machine:
        try:
            with dots("Starting the guest"):
                status = follow_start(machine)
            for event in machine.follow(lambda: PATIENCE):
                status = pass_on(event, status)
        except TimeoutError:
            raise Failure(f"the guest said nothing for {PATIENCE} s and was killed") from None
        finally:
            keep_logs(machine.out / "demo", machine.console)
        if status is None:
            raise Failure("the guest ended too early, see console.log")
    return status


def follow_start(machine):
    """Returns at the first sign of life."""
    for event in machine.follow(lambda: PATIENCE):
        if event["event"] == "booted":
            return None
    raise Failure("the guest did not start, see console.log")


def pass_on(event, status):
    if event["event"] == "output":
        sys.stdout.buffer.write(event["data"].encode("latin-1"))
        sys.stdout.flush()
    return event["status"] if event["event"] == "status" else status


def keep_logs(where, console=None):
    LOGS.mkdir(parents=True, exist_ok=True)
    if where.exists():
        shutil.copytree(where, LOGS, symlinks=True, dirs_exist_ok=True)
    if console and console.exists():
        shutil.copy(console, LOGS / "console.log")


# -- on the machine itself ----------------------------------------------------------------

def run_on_machine(args, built):
    if args.release != "12":
        raise Failure("on the machine itself only Debian 12's parts can run")
    with tempfile.TemporaryDirectory(prefix="demo-", dir=OUT) as where:
        out = pathlib.Path(where, "out")
        out.mkdir()
        env = dict(PATH="/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL="C.UTF-8", REPO=str(REPO),
                   STAGE=str(built), EXTRAS=str(extras()), OUT=str(out), WHERE=where)
        # All that is mounted and started in there ends with its first process.
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--net", "--ipc",
             "--uts", "--fork", "--kill-child", "--mount-proc", "sh",
             str(HERE / "lab" / "guest" / "on_machine.sh"), *guest_command(args)],
            env=env, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            status = process.wait()
        finally:
            process.kill()
            process.wait()
            keep_logs(out / "demo")
    if status == NO_PPP:
        raise Failure("this machine's kernel has no PPP, L2TP or netem modules; the demo in the "
                      "lab needs none")
    return status


# -- all of it ------------------------------------------------------------------------------

def read(name):
    with contextlib.suppress(OSError):
        return (LOGS / name).read_text(errors="replace").strip()
    return ""


def perform(args):
    built = make_ready(args)
    with stage("Starting"):
        status = (run_on_machine if args.on_machine else run_in_guest)(args, built)
    if status != 0:
        raise Failure(read("failure") or f"it ended with status {status}")


def conclude(begun):
    seconds = time.monotonic() - begun
    print(f"\nAll of it went as it should, in {seconds // 60:.0f} min {seconds % 60:02.0f} s. "
          f"Logs and captures: {LOGS}")
    print("PPTP is worth little as protection, whoever serves it: MS-CHAPv2 can be broken\n"
          "from a recorded login, MPPE does not notice changed packets. See README.md.")


def fail(error):
    """One line: stage, reason, logs, how to run it again."""
    reason, *more = str(error).strip().splitlines() or [type(error).__name__]
    where = read("stage") or Stage.name
    print("".join(f"\n{line}" for line in more))
    print(f'demo: FAILED at "{where}": {reason}; logs: {LOGS}; '
          f"again: {os.environ.get('DEMO_AGAIN', 'make demo')}", file=sys.stderr, flush=True)
    return 1


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(prog="tests/demo")
    parser.add_argument("--release", choices=RELEASES, default="12")
    parser.add_argument("--on-machine", action="store_true",
                        default=os.environ.get("DEMO_ON_MACHINE", "0") != "0",
                        help="in namespaces of this machine, whose kernel must have PPP")
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("DEMO_SECONDS", "3")),
                        help="for each figure of the table")
    parser.add_argument("--no-build", action="store_true", help="what was built last")
    args, begun = parser.parse_args(), time.monotonic()
    signal.signal(signal.SIGTERM, interrupted)
    shutil.rmtree(LOGS, ignore_errors=True)
    try:
        perform(args)
        conclude(begun)
        return 0
    except (Failure, LabError, OSError) as error:
        return fail(error)
    except KeyboardInterrupt:
        return fail(Failure("interrupted"))


if __name__ == "__main__":
    sys.exit(main())

"""Paths, progress lines and locks that all of the host side uses."""

import contextlib
import fcntl
import os
import pathlib
import subprocess
import sys
import time

LAB = pathlib.Path(__file__).resolve().parent.parent
REPO = LAB.parent.parent
CACHE = pathlib.Path(os.environ.get("LAB_CACHE") or "/var/cache/pptpctrl-lab")
OUT = pathlib.Path(os.environ.get("LAB_OUT") or REPO / "build" / "lab")

RELEASES = ("12", "13")
SUITES = {"12": "bookworm", "13": "trixie"}


class LabError(Exception):
    """Something the user has to know; its text is the whole message."""


def say(text):
    print(f"lab: {text}", flush=True)


def tree(release):
    """The root file system of a release's guest: 12 is the machine itself."""
    return pathlib.Path("/") if release == "12" else CACHE / f"tree-{release}"


def extras():
    """Packages a Debian 12 guest has in addition to the machine's own."""
    return CACHE / "extras-12"


def extra(name):
    """A file or folder of a package that the guest needs: unpacked there, or, where the machine
    has that package, its own."""
    path = extras() / name
    return path if path.exists() else pathlib.Path("/") / name


def made_by_prepare(release):
    return extras() if release == "12" else tree(release)


@contextlib.contextmanager
def locked(path, how=fcntl.LOCK_EX, what="another lab run"):
    """Holds a lock file; says so when somebody else has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as handle:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {what} to end ({path})")
            fcntl.flock(handle, how)
        yield


def unshare(*more):
    """The start of a command in mount namespaces of its own. Where / is no mount point, as in
    a bare chroot, unshare cannot make the mounts private: then they are left as they are."""
    probe = subprocess.run(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL, check=False)
    kept = ["--propagation", "unchanged"] if probe.returncode else []
    return ["unshare", "--mount", *kept, *more]


class Ticker:
    """Shows at most one line in `every` seconds of a long stream of them."""

    def __init__(self, prefix, every=5.0):
        self.prefix, self.every, self.last, self.count = prefix, every, time.monotonic(), 0

    def line(self, text):
        self.count += 1
        if time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            say(f"{self.prefix} [{self.count}] {text.strip()[:90]}")


def need_root():
    if os.geteuid() != 0:
        raise LabError("the lab needs root: it boots on the machine's own tree and installs packages")
    if sys.platform != "linux":
        raise LabError("the lab needs Linux")

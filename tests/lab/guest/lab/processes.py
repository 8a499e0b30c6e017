"""What /proc says about processes."""

import contextlib
import os
import signal
import time

from .errors import LabError

# Watchdogs are so many times as generous: the guest's processor is an emulated one.
SLOWER = int(os.environ.get("LAB_SLOWER", "1"))


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as handle:
            return handle.read().decode(errors="replace")
    except OSError:
        return ""


def parent(pid):
    text = read(pid, "stat")
    return int(text.rsplit(")", 1)[1].split()[1]) if text else 0


def state(pid):
    """R, S, Z ...; '' when there is no such process."""
    text = read(pid, "stat")
    return text.rsplit(")", 1)[1].split()[0] if text else ""


def name(pid):
    return read(pid, "comm").strip()


def title(pid):
    """The command line as ps shows it."""
    return read(pid, "cmdline").replace("\0", " ").strip() or f"[{name(pid)}]"


def is_kernel_thread(pid):
    return pid == 2 or parent(pid) == 2


def descendants(*roots):
    """The given processes and all of their children, in order of their ids."""
    parents = {pid: parent(pid) for pid in pids()}
    found = {root for root in roots if root in parents}
    grew = True
    while grew:
        more = {pid for pid, its in parents.items() if its in found} - found
        found |= more
        grew = bool(more)
    return sorted(found)


def mount_namespace(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return None


def with_mounts(namespace):
    """All processes in a mount namespace, as mount_namespace() names it."""
    return [pid for pid in pids() if namespace and mount_namespace(pid) == namespace]


def descriptors(pid):
    """{number: what it is} of a process."""
    found = {}
    with contextlib.suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
    return found


def memory(pid):
    """kB of a process: {'Rss': ..., 'Pss': ..., 'Private_Dirty': ...}."""
    found = {}
    for line in read(pid, "smaps_rollup").splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB":
            found[words[0].rstrip(":")] = int(words[1])
    return found


def stop_and_kill(*victims):
    """At one instant: all are stopped before anybody can see one of them die."""
    for number in signal.SIGSTOP, signal.SIGKILL:
        for pid in victims:
            os.kill(pid, number)


def listens(pid, port, table="tcp"):
    """True when somebody in the process's network namespace listens on a TCP port."""
    for line in read(pid, f"net/{table}").splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and int(words[1].rsplit(":", 1)[1], 16) == port:
            return True
    return False


def poll(condition, what, timeout=30, every=0.02):
    """For what the kernel tells nobody: asks until it is so, fails by a generous watchdog. What is
    dear to ask is asked less often: those who make it so need the processor, too."""
    deadline = time.monotonic() + timeout * SLOWER
    while True:
        asked = time.monotonic()
        value = condition()
        if value:
            return value
        now = time.monotonic()
        if now > deadline:
            raise LabError(f"{timeout * SLOWER} s passed before: {what}")
        time.sleep(max(every, now - asked))

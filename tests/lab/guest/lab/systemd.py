"""A guest whose first process is systemd: units, and a world that scenarios can change.

systemd, its journal and the units it starts see the guest's own /etc. So a scenario gets no
private one, as without systemd: a fresh layer is laid over /etc for all, and taken away again
when all units of ours have ended.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess

from . import processes
from .errors import LabError
from .namespaces import inside, libc, mount

LAYER = "/run/lab-etc"
UDEV = "/run/udev"
MNT_DETACH = 2
RUNTIME = ("/run/systemd/system", "/run/systemd/transient", "/run/systemd/system.control")
OURS = re.compile(r"/(pptpd[^/]*\.(service|scope|slice)|lab-runner\.service)")


def is_here():
    return os.path.isdir("/run/systemd/system")


def systemctl(*words, check=True, timeout=300):
    """Its output. check: fails with what it said when its status is not 0."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise LabError(f"systemctl {' '.join(words)}: status {done.returncode}: "
                       f"{(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def show(unit, name):
    """One property of a unit, as text."""
    return systemctl("show", "--value", "-p", name, unit)


def cgroup(pid):
    return processes.read(pid, "cgroup").partition("::")[2].strip()


def keeps(pid):
    """Is it a process of systemd or of a service of its own?"""
    return is_here() and not OURS.search(cgroup(pid))


def open_world(private=True):
    """Before a scenario. private: /etc is as before when it is over."""
    os.makedirs("/run/netns", exist_ok=True)
    if not private:
        return
    shutil.rmtree(LAYER, ignore_errors=True)
    for name in ("upper", "work"):
        os.makedirs(f"{LAYER}/{name}")
    mount("overlay", "/etc", "overlay",
          data=f"lowerdir=/etc,upperdir={LAYER}/upper,workdir={LAYER}/work")


def close_world():
    """After it: no unit of ours runs, has failed or is changed, and no namespace is left."""
    systemctl("kill", "--signal=KILL", "pptpd*.service", "pptpd*.scope", check=False)
    systemctl("stop", "pptpd*.socket", "pptpd*.service", "pptpd*.scope", check=False)
    libc.umount2(b"/etc", MNT_DETACH)
    for where in RUNTIME:
        for name in os.listdir(where) if os.path.isdir(where) else ():
            if name.startswith("pptpd"):
                path = f"{where}/{name}"
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    shutil.rmtree("/run/pptpd", ignore_errors=True)
    systemctl("daemon-reload")
    systemctl("reset-failed", check=False)
    for name in os.listdir("/run/netns"):
        subprocess.run(["ip", "netns", "del", name], check=False)
    with contextlib.suppress(FileNotFoundError):
        os.unlink("/run/pptpd.pid")


def has_device(name):
    """BindToDevice= waits for what udev says; the guest has none, so its note is written here."""
    with inside("srv"):
        number = socket.if_nametoindex(name)
    for folder in "data", "tags/systemd":
        os.makedirs(f"{UDEV}/{folder}", exist_ok=True)
    for path, text in ((f"tags/systemd/n{number}", ""),
                       (f"data/n{number}", "I:1\nG:systemd\nQ:systemd\nV:1\n"
                        f"E:SYSTEMD_ALIAS=/sys/subsystem/net/devices/{name}\n")):
        with open(f"{UDEV}/{path}", "w") as note:
            note.write(text)
    systemctl("daemon-reload")
    device = f"sys-subsystem-net-devices-{name}.device"
    processes.poll(lambda: show(device, "ActiveState") == "active", f"systemd knows {name}", 60)


def forget_devices():
    shutil.rmtree(UDEV)

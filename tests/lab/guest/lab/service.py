"""Our server as systemd's pptpd.service, in the guest's first network namespace."""

import dataclasses
import os

from . import processes, systemd
from .errors import LabError
from .server import Server, write

UNIT, SOCKET = "pptpd.service", "pptpd.socket"


@dataclasses.dataclass
class Main:
    """What subprocess.Popen is for other servers."""
    pid: int

    def poll(self):
        return None if self.pid and processes.state(self.pid) not in ("", "Z") else 0


class Service(Server):
    """start() returns when systemd says that it is ready. dropin: text for the unit's own
    drop-in file, socket_dropin: for the socket's."""

    def __init__(self, lab, dropin="", socket_dropin="", **how):
        super().__init__(lab, **how)
        self.dropins = {UNIT: dropin, SOCKET: socket_dropin}

    @property
    def process(self):
        """The manager; what it is now, for it may have been started again."""
        return Main(int(systemd.show(UNIT, "MainPID") or 0))

    @process.setter
    def process(self, _):
        pass

    def write_files(self):
        super().write_files()
        for unit, text in self.dropins.items():
            if text:
                os.makedirs(f"/etc/systemd/system/{unit}.d", exist_ok=True)
                write(f"/etc/systemd/system/{unit}.d/lab.conf", text)
        systemd.systemctl("daemon-reload")

    def start(self, wait=True, unit=UNIT):
        self.write_files()
        self.mark = self.lab.syslog.mark()
        systemd.systemctl("start", *([] if wait else ["--no-block"]), unit)
        if wait and unit == UNIT:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=60):
        processes.poll(lambda: self.show("SubState") == "running", "pptpd.service runs", timeout)
        self.idle = processes.poll(self.settled, "the server is idle", timeout)

    def show(self, name, unit=UNIT):
        return systemd.show(unit, name)

    def pids(self):
        """All in its cgroup, and in scopes that it made for its calls."""
        return [pid for pid in processes.pids() if "/pptpd" in systemd.cgroup(pid)]

    def stop(self, *units, timeout=60):
        """systemctl stop; returns the manager's exit status."""
        systemd.systemctl("stop", *(units or (UNIT,)), timeout=timeout)
        # A parent may have told the end of its call, and be about to end itself.
        try:
            processes.poll(lambda: not self.pids(), "")
        except LabError:
            raise LabError(f"left after systemctl stop: {self.ps()}") from None
        return int(self.show("ExecMainStatus"))

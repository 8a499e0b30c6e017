"""The server under a supervisor that holds its descriptors, as systemd's descriptor store does,
and hands over what a scenario wants."""

import array
import contextlib
import os
import socket
import subprocess
import threading

from . import processes
from .errors import LabError
from .logs import ProgramLog
from .namespaces import popen
from .server import Server

NAMES = ("pptpd", "pptpd-worker", "pptpctrl", "pppd")


class Supervised(Server):
    """start() starts it with what is held; kill the process in between. held: {name: fd}."""

    def __init__(self, lab, **how):
        super().__init__(lab, **how)
        self.held, self.lock = {}, threading.Lock()
        self.notify_path = f"/run/lab-notify-{self.ns}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.notify_path)
        self.socket.bind(self.notify_path)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            text, ancillary, _, _ = self.socket.recvmsg(4096, 4096)
            fds = array.array("i")
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
            said = dict(line.split("=", 1) for line in text.decode().splitlines() if "=" in line)
            with self.lock:
                self.heard(said, list(fds))

    def heard(self, said, fds):
        name = said.get("FDNAME", "")
        if said.get("FDSTORE") == "1":
            self.held[name] = fds.pop()
        elif said.get("FDSTOREREMOVE") == "1" and name in self.held:
            os.close(self.held.pop(name))
        for fd in fds:
            os.close(fd)

    def drop(self, name):
        """As if systemd had lost it."""
        with self.lock:
            os.close(self.held.pop(name))

    def replace(self, name, fd):
        with self.lock:
            os.close(self.held[name])
            self.held[name] = fd

    def names(self, letter):
        return [name for name in self.held if name.startswith("+" + letter)]

    def start(self, wait=True):
        self.write_files()
        self.mark = self.lab.syslog.mark()
        environment = dict(os.environ, NOTIFY_SOCKET=self.notify_path)
        if self.held:
            environment["PPTPCTRL_FDS"] = ":".join(f"{fd}={name}"
                                                   for name, fd in self.held.items())
        self.process = popen(self.ns, self.command(), env=environment,
                             pass_fds=list(self.held.values()), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        self.log = ProgramLog(self.lab.file(f"server-{self.ns}.log"), self.process, "server")
        if wait:
            self.wait_ready()
        return self

    def pids(self):
        """Those of its namespace: after a kill nobody's children are left."""
        def home(pid):
            with contextlib.suppress(OSError):
                return os.readlink(f"/proc/{pid}/ns/net")

        return [pid for pid in processes.pids()
                if processes.name(pid) in NAMES and home(pid) == home(self.process.pid)]

    def stop(self, *args, **how):
        status = super().stop(*args, **how)
        processes.poll(lambda: not self.held, "the supervisor has nothing to hold any more")
        if self.held:
            raise LabError(f"still held: {self.held}")
        return status

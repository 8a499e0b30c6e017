"""Logs that can be waited on: a syslog daemon on /dev/log and outputs of programs."""

import contextlib
import dataclasses
import json
import os
import re
import socket
import subprocess
import threading
import time

from .errors import LabError
from .processes import SLOWER

SO_RCVBUFFORCE = 33     # Python has no name for it


@dataclasses.dataclass
class Line:
    time: float         # CLOCK_MONOTONIC
    ident: str
    pid: int
    text: str
    priority: int = 6   # syslog level, 0-7
    fields: dict = None # of the journal

    def __str__(self):
        return f"{self.time:10.3f} {self.ident}[{self.pid}]: {self.text}"


class Log:
    """Lines in order of arrival, copied to a file; waiting for one is event-driven."""

    def __init__(self, path):
        self.lines = []
        self.file = open(path, "a", errors="replace")
        self.path = path
        self.changed = threading.Condition()
        self.ended = False

    def add(self, line):
        with self.changed:
            self.lines.append(line)
            self.file.write(f"{line}\n")
            self.file.flush()
            self.changed.notify_all()

    def end(self):
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def find(self, regex, start=0, keep=None):
        """All lines from number `start` on that match."""
        pattern = re.compile(regex)
        return [line for line in self.lines[start:]
                if pattern.search(str(line)) and (keep is None or keep(line))]

    def wait(self, regex, timeout=30, start=0, count=1, keep=None):
        """The count-th matching line, from line number `start` on (see mark())."""
        pattern, seen, at = re.compile(regex), 0, start
        timeout *= SLOWER
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                for line in self.lines[at:]:
                    at += 1
                    if pattern.search(str(line)) and (keep is None or keep(line)):
                        seen += 1
                        if seen == count:
                            return line
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    why = "the program ended" if self.ended else f"{timeout} s passed"
                    last = self.lines[-1].text if self.lines else "nothing"
                    name = os.path.basename(self.path)
                    raise LabError(f"{name}: {why} without /{regex}/; last line: {last}")
                self.changed.wait(left)

    def mark(self):
        """Position for `start=`: only lines that come after it count."""
        return len(self.lines)


class ProgramLog(Log):
    """Standard output and error of a program, from a pipe."""

    def __init__(self, path, process, ident):
        super().__init__(path)
        self.process, self.ident = process, ident
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for raw in self.process.stdout:
            text = raw.decode(errors="replace").rstrip()
            self.add(Line(time.monotonic(), self.ident, self.process.pid, text))
        self.end()


class Syslog(Log):
    """Takes the place of a syslog daemon for the whole guest."""

    SOCKET = "/dev/log"
    FORMAT = re.compile(r"<(\d+)>(?:\w{3} [ \d]\d [\d:]{8} )?([^\s\[:]+)(?:\[(\d+)\])?: ?(.*)", re.S)

    def __init__(self, path):
        super().__init__(path)
        self.client_pids = set()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.SOCKET)
        # By default 10 lines may wait here, and a server that will not wait loses the others.
        with open("/proc/sys/net/unix/max_dgram_qlen", "w") as limit:
            limit.write("10000")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.socket.bind(self.SOCKET)
        os.chmod(self.SOCKET, 0o666)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            data = self.socket.recv(65536).decode(errors="replace").rstrip("\n\0")
            found = self.FORMAT.match(data)
            priority, ident, pid, text = found.groups() if found else ("6", "?", "0", data)
            self.add(Line(time.monotonic(), ident, int(pid or 0), text, int(priority) & 7))

    def is_servers(self, line):
        """Both ends run in one guest: leaves out what clients' pppd and pptp say."""
        return line.pid not in self.client_pids and line.ident != "pptp"


class Journal(Log):
    """The same of a guest with systemd: all that reaches its journal, with the fields."""

    is_servers = Syslog.is_servers

    def __init__(self, path):
        super().__init__(path)
        self.client_pids = set()
        self.process = subprocess.Popen(
            ["journalctl", "--follow", "--lines=0", "--output=json", "--all"],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        threading.Thread(target=self.read, daemon=True).start()
        self.wait_for_reader()

    def wait_for_reader(self):
        """journalctl says nothing when it has begun: it has when it repeats what we say."""
        for number in range(600):
            with contextlib.suppress(LabError):
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                    sock.sendto(f"<14>lab: {number}".encode(), Syslog.SOCKET)
                self.wait(r"lab\[\d*\]: \d", 0.3)
                return
        raise LabError("the journal cannot be read")

    def read(self):
        for raw in self.process.stdout:
            fields = json.loads(raw)
            text = fields.get("MESSAGE") or ""
            if not isinstance(text, str):       # bytes that are no UTF-8
                text = bytes(text).decode(errors="replace")
            pid = fields.get("SYSLOG_PID") or fields.get("_PID") or 0
            self.add(Line(int(fields["__MONOTONIC_TIMESTAMP"]) / 1e6,
                          fields.get("SYSLOG_IDENTIFIER") or fields.get("_COMM") or "?", int(pid),
                          text, int(fields.get("PRIORITY") or 6), fields))
        self.end()

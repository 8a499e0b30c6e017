"""The stock client: pptp-linux under pppd."""

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import time

from . import processes
from .errors import LabError
from .logs import ProgramLog
from .namespaces import libc, mount, popen

SYS_PIDFD_GETFD = 438   # the same on all architectures

OPTIONS = """nodetach noauth nodefaultroute noipdefault debug
require-mppe-128 refuse-eap refuse-pap refuse-chap refuse-mschap
nobsdcomp nodeflate novj novjccomp""".split()


class Client:
    """Starts in start(); wait_up() returns when it has its address."""

    def __init__(self, lab, ns, user="alice", password="wonder", server=None, options=OPTIONS,
                 more=(), pptp_args=()):
        self.lab, self.ns, self.user, self.password = lab, ns, user, password
        self.server = server or lab.net.addresses["srv"]
        self.options, self.more, self.pptp_args = list(options), list(more), list(pptp_args)
        self.process = self.log = self.mounts = None
        self.started = None

    def command(self):
        pptp = " ".join(["pptp", self.server, "--nolaunchpppd", *self.pptp_args])
        return ["pppd", "pty", pptp, *self.options, "user", self.user, "password", self.password,
                "ipparam", self.ns, *self.more]

    def start(self):
        number = len(self.lab.clients)
        self.started = time.monotonic()
        self.process = popen(self.ns, self.command(), mounts=own_directories,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.mounts = processes.mount_namespace(self.process.pid)
        self.lab.syslog.client_pids.add(self.process.pid)
        who = re.sub(r"[^\w.-]", "_", self.user)[:40]
        self.log = ProgramLog(self.lab.file(f"client{number}-{self.ns}-{who}.log"),
                              self.process, self.ns)
        return self

    def wait_up(self, timeout=60):
        """Until both addresses are set; returns the client's address."""
        self.wait_log(r"remote IP address [\d.]+", timeout)
        return self.address

    def wait_log(self, regex, timeout=30, start=0):
        return self.log.wait(regex, timeout, start)

    def said(self, regex):
        """The first group of the newest matching line of its log, or None."""
        for line in reversed(self.log.lines):
            found = re.search(regex, line.text)
            if found:
                return found.group(1)
        return None

    @property
    def iface(self):
        return self.said(r"Using interface (\S+)")

    @property
    def address(self):
        return self.said(r"local +IP address ([\d.]+)")

    @property
    def peer_address(self):
        return self.said(r"remote IP address ([\d.]+)")

    @property
    def mppe(self):
        """As pppd says it, such as '128-bit stateless'."""
        return self.said(r"MPPE (\S+ \S+) compression enabled")

    @property
    def set_up_time(self):
        """Seconds from start() to the address."""
        lines = self.log.find(r"remote IP address")
        return lines[0].time - self.started if lines else None

    def pids(self):
        """pppd and all pptp processes; some are not its children, but share its mounts."""
        return processes.with_mounts(self.mounts)

    def running(self):
        return self.process.poll() is None

    def wait_exit(self, timeout=60):
        """pppd's exit status (negative: killed by that signal)."""
        try:
            return self.process.wait(timeout * processes.SLOWER)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.ns}: pppd was still there after "
                           f"{timeout * processes.SLOWER} s") from None

    def wait_refused(self):
        """The server took no password. pppd's status says so (19), but where the server hangs up
        before both have said goodbye (16)."""
        self.wait_log("CHAP authentication failed")
        status = self.wait_exit()
        if status not in (16, 19):
            raise LabError(f"{self.user} in {self.ns} ended with {status}, and was not refused")

    def stop(self, number=signal.SIGTERM, timeout=60):
        """Ends the call as a user would (SIGTERM); returns pppd's exit status."""
        if self.running():
            os.kill(self.process.pid, number)
        return self.wait_exit(timeout)

    def kill(self):
        """kill -9 of pppd and pptp at once: the server is told nothing but a closed TCP."""
        pids = self.pids()
        # Stopped first, or pptp says goodbye when it sees pppd die.
        for number in signal.SIGSTOP, signal.SIGKILL:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        return self.wait_exit()

    def end_strays(self):
        """Kills what of pptp outlived its pppd: now and then the stock client forgets one of
        its processes when a call ends while it starts."""
        for pid in self.pids() if self.process and not self.running() else ():
            self.lab.say(f"{self.ns}: {processes.title(pid)} forgot to end")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def reset_tcp(self):
        """Breaks the control connection with a RST, which the server sees at once."""
        for pid in self.pids():
            for sock in borrowed_sockets(pid):
                with sock, contextlib.suppress(OSError):
                    if sock.getpeername()[1] == 1723:
                        # connect() to AF_UNSPEC is how a TCP socket is aborted.
                        libc.connect(sock.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16)
                        return
        raise LabError(f"{self.ns}: no control connection to reset")


def borrowed_sockets(pid, kind=socket.SOCK_STREAM):
    """The IPv4 sockets of one kind of another process, as duplicates."""
    pidfd = os.pidfd_open(pid)
    try:
        for number, what in processes.descriptors(pid).items():
            if what.startswith("socket:"):
                fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
                if fd >= 0:
                    sock = socket.socket(fileno=fd)
                    if (sock.family, sock.type) == (socket.AF_INET, kind):
                        yield sock
                    else:
                        sock.close()
    finally:
        os.close(pidfd)


def own_directories():
    """A client on a machine of its own: pptp-linux shares one call manager among all that
    see its socket in /run, and /etc/ppp holds the server's secrets and options."""
    mount("run", "/run", "tmpfs", data="mode=755")
    mount("ppp", "/etc/ppp", "tmpfs", data="mode=755")

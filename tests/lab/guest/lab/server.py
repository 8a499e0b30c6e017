"""A PPTP server in namespace srv: ours, or the distribution's pptpd to compare with."""

import json
import os
import signal
import subprocess

from . import processes
from .errors import LabError
from .logs import ProgramLog
from .namespaces import MS_BIND, mount, popen, run

# Where the guest's first process put the distribution's pptpd before our own build,
# which has the same file names, was laid over it.
POPTOP = "/usr/lib/lab/poptop"
LOGWTMP = "/usr/lib/pptpd/pptpd-logwtmp.so"     # PoPToP's plugin

OPTIONS = """
name pptpd
refuse-pap
refuse-chap
refuse-mschap
require-mschap-v2
require-mppe-128
nobsdcomp
novj
novjccomp
nologfd
"""


class Server:
    """Starts in start(), which returns when the server listens."""

    def __init__(self, lab, users=None, options=OPTIONS, conf="", datapath=None, pptpd="ours",
                 args=(), ns="srv", local_ip="192.168.0.1", remote_ip="192.168.1.1-200",
                 debug=False, wrapper=(), mounts=None, program=None):
        self.lab, self.ns, self.pptpd = lab, ns, pptpd
        self.users = {"alice": "wonder"} if users is None else users
        self.options, self.extra_conf, self.datapath = options, conf, datapath
        self.args, self.wrapper, self.debug = list(args), list(wrapper), debug
        self.path = program     # of another build of ours
        self.mounts = mounts    # for the server's eyes only
        self.local_ip, self.remote_ip = local_ip, remote_ip
        self.address = lab.net.addresses[ns]
        self.conf_file = f"/etc/pptpd{'' if ns == 'srv' else '-' + ns}.conf"
        self.options_file = f"/etc/ppp/options.pptpd{'' if ns == 'srv' else '-' + ns}"
        self.process = self.log = None
        self.mark = 0
        self.idle = {}

    def write_files(self):
        """Writes all the files; a test of reload edits its attributes and calls it again."""
        write(self.options_file, self.options + ("debug\n" if self.debug else ""))
        lines = [f"option {self.options_file}", f"localip {self.local_ip}",
                 f"remoteip {self.remote_ip}"]
        if self.debug:
            lines.append("debug")
        if self.pptpd == "ours" and self.datapath:
            lines.append(f"datapath {self.datapath}")
        write(self.conf_file, "\n".join(lines) + "\n" + self.extra_conf)
        secrets = "".join(f'"{user}" * "{secret}" *\n' for user, secret in self.users.items())
        write("/etc/ppp/chap-secrets", secrets, 0o600)

    def command(self):
        return [*self.wrapper, self.program(), "-f", "-c", self.conf_file, *self.args]

    def program(self):
        if self.path:
            return self.path
        if self.pptpd == "ours" or not has_poptop_copy():
            return "/usr/sbin/pptpd"
        return f"{POPTOP}/pptpd"

    def start(self, wait=True):
        self.write_files()
        self.mark = self.lab.syslog.mark()
        poptop = self.pptpd == "distribution" and has_poptop_copy()
        mounts = hide_ours if poptop else self.mounts
        self.process = popen(self.ns, self.command(), mounts=mounts,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.log = ProgramLog(self.lab.file(f"server-{self.ns}.log"), self.process, "server")
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=30):
        def ready():
            if self.process.poll() is not None:
                last = [line.text for line in self.log.lines] or ["(it said nothing)"]
                raise LabError(f"the server ended with {self.process.returncode}: {last[-1]}")
            # Ours listens before its last part is started: no client is turned away then.
            return (processes.listens(self.process.pid, 1723) and
                    (self.pptpd != "ours" or self.find_log(r"connections available", self.mark)))
        processes.poll(ready, "the server listens", timeout)
        self.idle = processes.poll(self.settled, "the server is idle", timeout)

    def settled(self):
        """Its descriptors once it waits for clients (it may still write its pid file)."""
        before = self.descriptor_counts()
        if any(processes.state(pid) != "S" for pid in before):
            return None
        return before if before == self.descriptor_counts() else None

    # -- what it says -----------------------------------------------------------

    def wait_log(self, regex, timeout=30, start=0, count=1):
        """A line of the server, its pppds and helpers in syslog."""
        log = self.lab.syslog
        return log.wait(regex, timeout, start, count, keep=log.is_servers)

    def find_log(self, regex, start=0):
        return self.lab.syslog.find(regex, start, keep=self.lab.syslog.is_servers)

    def calls(self):
        """What `pptpctrl list --json` says: a dictionary for each call."""
        return json.loads(run(self.ns, "/usr/sbin/pptpctrl", "list", "--json").stdout)

    def identities(self, but=None):
        """What must not change of calls that are kept, by their ids; not of this user's."""
        return {call["call"]: (call["user"], call["address"], call["interface"], call["pid"])
                for call in self.calls() if call["user"] != but}

    # -- what it is made of -----------------------------------------------------

    def pids(self):
        """Its first process and all descendants (per-call parents, pppds)."""
        return processes.descendants(self.process.pid)

    def ps(self):
        """[(pid, parent, command line)] of all its processes."""
        return [(pid, processes.parent(pid), processes.title(pid)) for pid in self.pids()]

    def workers(self):
        """The processes that read the network."""
        return [pid for pid in self.pids() if processes.name(pid) == "pptpd-worker"]

    def worker(self):
        """The one there is; None: there is none, or another one as well."""
        found = self.workers()
        return found[0] if len(found) == 1 else None

    def pppds(self):
        return [pid for pid in self.pids() if processes.name(pid) == "pppd"]

    def descriptors(self):
        return {pid: processes.descriptors(pid) for pid in self.pids()}

    def descriptor_counts(self):
        """Without timers: sd-event makes one for each clock when it is first used, and keeps it."""
        return {pid: sum("timerfd" not in what for what in found.values())
                for pid, found in self.descriptors().items()}

    def memory(self):
        """{pid: {'Rss': kB, 'Pss': kB, ...}}"""
        return {pid: processes.memory(pid) for pid in self.pids()}

    def leftovers(self):
        """How it differs from the idle server of after the start."""
        if not self.process or self.process.poll() is not None:
            return []
        now, found = self.descriptor_counts(), []
        for pid in now.keys() - self.idle.keys():
            found.append(f"server process {pid}: {processes.title(pid)}")
        for pid in now.keys() & self.idle.keys():
            if now[pid] != self.idle[pid]:
                found.append(f"server process {pid} has {now[pid]} descriptors, "
                             f"{self.idle[pid]} at start")
        return found

    # -- its end ----------------------------------------------------------------

    def send_signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self, number=signal.SIGTERM, timeout=30):
        """Ends it; returns its exit status (negative: the signal that killed it)."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.send_signal(number)
        try:
            return self.process.wait(timeout * processes.SLOWER)
        except subprocess.TimeoutExpired:
            raise LabError(f"the server was still there {timeout * processes.SLOWER} s after "
                           f"signal {number}") from None


def write(path, text, mode=0o644):
    with open(path, "w") as handle:
        handle.write(text)
    os.chmod(path, mode)


def has_poptop_copy():
    return os.path.exists(f"{POPTOP}/pptpd")


def hide_ours():
    """PoPToP runs /usr/sbin/pptpctrl for each call, and its pppds load a plugin; ours have the
    same names."""
    for theirs, ours in ("pptpctrl", "/usr/sbin/pptpctrl"), ("pptpd-logwtmp.so", LOGWTMP):
        mount(f"{POPTOP}/{theirs}", ours, flags=MS_BIND)

"""Who may do what: rights and descriptors of each of the server's processes while calls are up."""

import os
import pwd
import re
import socket

from lab import DATAPATHS, poll, processes, scenario
from lab.client import SYS_PIDFD_GETFD
from lab.namespaces import libc

AF_PPPOX = 24
KINDS = {(socket.AF_INET, socket.SOCK_DGRAM): "udp", (socket.AF_INET6, socket.SOCK_DGRAM): "udp6",
         (socket.AF_INET, socket.SOCK_RAW): "raw", (socket.AF_NETLINK, socket.SOCK_RAW): "netlink",
         (socket.AF_NETLINK, socket.SOCK_DGRAM): "netlink",
         (socket.AF_UNIX, socket.SOCK_DGRAM): "unix", (socket.AF_UNIX, socket.SOCK_STREAM): "unix",
         (socket.AF_UNIX, socket.SOCK_SEQPACKET): "messages"}

SCRIPT = """#!/bin/sh
ls -l /proc/self/fd >/tmp/fds.new 2>&1
mv /tmp/fds.new /tmp/fds
"""
UNPRIVILEGED = {"CapInh": "0" * 16, "CapPrm": "0" * 16, "CapEff": "0" * 16, "CapBnd": "0" * 16,
                "CapAmb": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2", "Groups": ""}


def status(pid):
    """{field: value} of /proc/PID/status."""
    lines = processes.read(pid, "status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def held(pid):
    """The descriptors of a process but 0 to 2, by what they are, sorted."""
    return sorted(kind_of(pid, number, what) for number, what in processes.descriptors(pid).items()
                  if number > 2)


def kind_of(pid, number, what):
    if what.startswith("socket:"):
        return socket_kind(pid, number)
    for pattern, word in ((r"anon_inode:\[?(\w+)\]?", r"\1"), (r"/dev/pts/\d+", "pty slave"),
                          (r"pipe:.*", "pipe"), (r".*/pppd2?\.tdb", "database")):
        what = re.sub(pattern, word, what)
    return what


def borrowed(pid, number):
    """A duplicate of another process's socket."""
    pidfd = os.pidfd_open(pid)
    try:
        return socket.socket(fileno=libc.syscall(SYS_PIDFD_GETFD, pidfd, number, 0))
    finally:
        os.close(pidfd)


def socket_kind(pid, number):
    with borrowed(pid, number) as sock:
        if sock.family == AF_PPPOX:
            return "pppox"
        if (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_STREAM):
            listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            return "listening" if listens else "control"
        return KINDS.get((int(sock.family), int(sock.type)), f"{sock.family} {sock.type}")


def inodes(pid):
    return {what for number, what in processes.descriptors(pid).items()
            if number > 2 and what.startswith("socket:")}


@scenario(datapaths=DATAPATHS)
def separation(lab):
    """Worker without any right; each process has the descriptors that it needs and no other."""
    for name in ("ip-up", "ip-pre-up"):
        with open(f"/etc/ppp/{name}", "w") as script:
            script.write(SCRIPT if name == "ip-up" else SCRIPT.replace("/fds", "/pre-fds"))
        os.chmod(f"/etc/ppp/{name}", 0o755)
    server = lab.server(wrapper=["env", "NOTIFY_SOCKET=/nonexistent", "WATCHDOG_USEC=1000000000"])
    calls = [lab.client(up=True) for _ in range(2)]
    server.wait_log(r"call \d+ up:", count=2)
    parts = {name: [pid for pid in server.pids() if match(pid)] for name, match in PARTS.items()}
    lab.say(f"processes: {parts}")
    lab.expect([len(pids) for pids in parts.values()] == [1, 1, 2, 2], f"processes: {server.ps()}")
    check_worker(lab, parts["worker"][0])
    check_launcher(lab, parts["launcher"][0])
    for pid in parts["parent"]:
        check_parent(lab, pid)
    for pid in parts["pppd"]:
        check_pppd(lab, pid)
    check_shared(lab, parts)
    check_scripts(lab, parts["pppd"])
    for call in calls:
        call.stop()
    server.wait_log(r"call \d+ ended", count=2)
    lab.expect_clean()
    lab.expect(server.stop() == 0, "status")
    lab.expect_clean()


PARTS = {
    "launcher": lambda pid: processes.title(pid).startswith("/usr/sbin/pptpd") and
    processes.name(pid) != "pptpd-worker",
    "worker": lambda pid: processes.name(pid) == "pptpd-worker",
    "parent": lambda pid: processes.title(pid).startswith("pptpd ["),
    "pppd": lambda pid: processes.name(pid) == "pppd",
}


def check_worker(lab, pid):
    its, user = status(pid), pwd.getpwnam("pptpd")
    for name, value in UNPRIVILEGED.items():
        lab.expect(its[name] == value, f"worker: {name} {its[name]}, not {value or 'empty'}")
    for name, value in (("Uid", user.pw_uid), ("Gid", user.pw_gid)):
        lab.expect(its[name].split() == [str(value)] * 4, f"worker: {name} {its[name]}")
    for link in ("root", "cwd"):
        where = os.readlink(f"/proc/{pid}/{link}")
        lab.expect(where == "/run/pptpd/empty", f"worker: {link} is {where}")
    lab.expect(os.listdir(f"/proc/{pid}/root/") == [], "worker: its root is not empty")
    expected = ["control"] * 2 + ["eventpoll", "listening"]
    # The log; the launcher's messages and the status socket.
    expected += ["unix", "messages", "messages"]
    expected += {"relay": ["raw", "udp"], "tty": ["raw", "/dev/ptmx", "/dev/ptmx"],
                 "kernel": []}[lab.datapath]
    # How many timers, the event library and the relay decide.
    found = [what for what in held(pid) if what != "timerfd"]
    lab.expect(found == sorted(expected), f"worker has {found}, not {sorted(expected)}")


def check_launcher(lab, pid):
    its, found = status(pid), held(pid)
    lab.expect(its["Uid"].split() == ["0"] * 4, f"launcher: Uid {its['Uid']}")
    # Copies for the next worker; of a call's own channel it has none.
    expected = {"control": 2, "/dev/ptmx": 2 * (lab.datapath == "tty"),
                "pty slave": 0, "pppox": 0, "/dev/ppp": 0}
    for what, count in expected.items():
        lab.expect(found.count(what) == count, f"launcher has not {count} of {what}: {found}")


def check_parent(lab, pid):
    found = held(pid)
    # To the launcher, from the plugin; pppd's end, the launcher's, our own signals; the tunnel.
    expected = ["messages", "messages", "pidfd", "pidfd", "signalfd"]
    expected += ["udp"] * (lab.datapath == "relay")
    lab.expect(found == expected, f"per-call parent has {found}, not {expected}")


def check_pppd(lab, pid):
    its, number = processes.descriptors(pid), held(pid)
    lab.expect([its.get(n) for n in range(3)] == ["/dev/null"] * 3, f"pppd: 0 to 2 are {its}")
    channel = "pty slave" if lab.datapath == "tty" else "pppox"
    # Its channel and our events, and what it opens itself.
    allowed = {channel, "messages", "unix", "udp", "udp6", "netlink", "/dev/ppp", "/dev/null",
               "pipe", "database"}
    lab.expect(set(number) <= allowed, f"pppd has {set(number) - allowed}: {number}")
    lab.expect(number.count(channel) == number.count("messages") == 1, f"pppd has {number}")
    environment = processes.read(pid, "environ")
    lab.expect("NOTIFY_SOCKET" not in environment and "WATCHDOG" not in environment,
               f"pppd's environment: {environment!r}")


def check_shared(lab, parts):
    """pppd shares no socket with any other process of ours; the log apart, parents share the
    tunnel with the launcher only."""
    for pid in parts["pppd"]:
        for name, pids in parts.items():
            for other in pids:
                both = inodes(pid) & inodes(other)
                lab.expect(pid == other or not both, f"pppd {pid} and {name} {other}: {both}")
    one, two = (inodes(pid) for pid in parts["parent"])
    lab.expect(len(one & two) == (lab.datapath == "relay"), f"both parents have {one & two}")


def check_scripts(lab, pppds):
    """ls has its three and the directory that it reads; of pppd's own, 2.5 leaves its netlink
    socket to scripts."""
    netlink = {what for pid in pppds for number, what in processes.descriptors(pid).items()
               if number > 2 and kind_of(pid, number, what) == "netlink"}
    for path in ("/tmp/fds", "/tmp/pre-fds"):
        poll(lambda path=path: os.path.exists(path), f"{path} is written")
        with open(path) as text:
            fds = dict(re.findall(r" (\d+) -> (\S+)", text.read()))
        lab.say(f"{path}: {fds}")
        expected = {"0": "/dev/null", "1": path + ".new", "2": path + ".new"}
        more = [what for number, what in fds.items() if expected.get(number) != what
                and what not in netlink and not re.fullmatch(r"/proc/\d+/fd", what)]
        lab.expect(not more and expected.keys() <= fds.keys(), f"a script of pppd has {fds}")

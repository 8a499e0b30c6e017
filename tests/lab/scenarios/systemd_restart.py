"""Restarts that must not end a call, nor turn a client away."""

import concurrent.futures
import contextlib
import errno
import os
import signal
import socket
import stat
import threading

from lab import inside, poll, processes, run, scenario, systemd
from lab.server import write
from lab.service import SOCKET, UNIT
from lab.steady import Calls

ADMIN, CONTROL = "pptpd-admin.socket", "/run/pptpd/control"
KNOCK = 0.005       # seconds from one connection to the next


def cli(*words):
    return run("srv", "/usr/sbin/pptpctrl", *words, check=False)


class TwoCalls(Calls):
    """Of alice and bob; carol is for later."""

    def __init__(self, lab):
        server = lab.service(users=dict.fromkeys(("alice", "bob", "carol"), "wonder"))
        self.clients = [lab.client(user=user, up=True) for user in ("alice", "bob")]
        self.third = lab.net.client()
        super().__init__(lab, server, [client.ns for client in self.clients], but="carol")

    def during(self, event):
        """event() while each call carries a transfer, which must come through whole."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            transfers = [pool.submit(self.lab.transfer, client.ns, "srv", self.server.local_ip,
                                     1_000_000) for client in self.clients]
            event()
        for transfer in transfers:
            transfer.result()
        self.expect_kept()

    def expect_kept(self):
        poll(lambda: self.server.show("SubState") == "running", "the service runs", 60)
        self.expect_same()
        for client in self.clients:
            self.lab.ping(client.ns, self.server.local_ip, count=1)

    def carol_comes(self):
        self.lab.client(self.third, user="carol", up=True).stop()

    def carol_is_refused(self):
        mark = self.lab.syslog.mark()
        client = self.lab.client(self.third, user="carol")
        # Said once in a while by each worker.
        self.lab.syslog.wait(r"refused: no new calls", 60, mark)
        client.wait_exit()
        client.end_strays()

    def status(self, *words):
        """The service says each of them."""
        for word in words:
            poll(lambda w=word: w in self.server.show("StatusText"),
                 f"'{word}' is in the status: {self.server.show('StatusText')}", 60)


def restart():
    systemd.systemctl("restart", UNIT)


@scenario(group="systemd", systemd=True)
def broken_configuration(lab):
    """A restart, or a death, with an error in pptpd.conf or without the options file: the calls go
    on, the error is seen, no new ones; mended and reloaded, all is well. Without calls it fails."""
    calls = TwoCalls(lab)
    server = calls.server
    good, server.remote_ip = server.remote_ip, "192.168.1.300"
    server.write_files()
    mark = lab.syslog.mark()
    calls.during(restart)
    calls.status("2 calls", "no new calls", "/etc/pptpd.conf line 3", "192.168.1.300")
    shown = systemd.systemctl("status", "--no-pager", UNIT)
    lab.expect("192.168.1.300" in shown, f"systemctl status: {shown}")
    server.wait_log(r"THE CONFIGURATION HAS ERRORS: /etc/pptpd\.conf line 3: .*192\.168\.1\.300", 30,
                    mark)
    calls.carol_is_refused()
    resumed = cli("resume")
    lab.expect(resumed.returncode == 1 and "mended" in resumed.stderr, f"resume: {resumed}")
    manager = server.process.pid
    calls.during(lambda: os.kill(manager, signal.SIGKILL))
    poll(lambda: server.process.pid not in (0, manager), "another manager")
    calls.status("192.168.1.300")
    calls.carol_is_refused()
    server.remote_ip = good
    server.write_files()
    calls.during(lambda: systemd.systemctl("reload", UNIT))
    poll(lambda: "no new calls" not in server.show("StatusText"), "the status is as before", 60)
    calls.carol_comes()
    os.unlink(server.options_file)
    calls.during(restart)
    calls.status("new calls will fail", server.options_file)
    server.write_files()
    systemd.systemctl("reload", UNIT)
    calls.expect_kept()
    calls.carol_comes()
    for client in calls.clients:
        client.stop()
    poll(lambda: server.calls() == [], "the calls are over", 60)
    server.remote_ip = "192.168.1.300"
    server.write_files()
    systemd.systemctl("restart", UNIT, check=False)
    poll(lambda: server.show("ActiveState") == "failed", "without calls it fails", 60)
    poll(lambda: systemd.show(SOCKET, "ActiveState") == "inactive", "the port is closed")


class Again(threading.Thread):
    """Does something again and again, with a pause; what it returned, in order."""

    def __init__(self, what, pause):
        super().__init__(daemon=True)
        self.what, self.pause = what, pause
        self.results, self.over = [], threading.Event()

    def run(self):
        while not self.over.wait(self.pause):
            self.results.append(self.what())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def new(self, count=3):
        """Results since the last call, of which there are so many at least."""
        poll(lambda: len(self.results) >= count, "it is done again", 60)
        found, self.results = self.results, []
        return found


def knock(address):
    """0, or the error of a connection."""
    with inside("net"):
        sock = socket.socket()
    with sock:
        sock.settimeout(60)
        return sock.connect_ex((address, 1723))


def restarts(server):
    """What may happen to the service: a name, and what does it."""
    return {"restart": restart, "reload": lambda: systemd.systemctl("reload", UNIT),
            "manager killed": lambda: processes.stop_and_kill(server.process.pid),
            "worker killed": lambda: processes.stop_and_kill(server.worker()),
            "both killed": lambda: processes.stop_and_kill(server.process.pid, server.worker())}


def after(server, event):
    """event(), and another worker is there."""
    before = server.worker()
    event()
    poll(lambda: server.worker() not in (None, before), "another worker", 60)
    poll(lambda: server.show("SubState") == "running", "the service runs", 60)


@scenario(group="systemd", systemd=True)
def port_stays_open(lab):
    """A client every 5 ms, over restart, reload and kills: none is refused. After stop each is."""
    server = lab.service()
    first = lab.client(up=True)
    with Again(lambda: knock(server.address), KNOCK) as clients:
        for name, event in restarts(server).items():
            clients.new()
            # It begins before the event and ends after it.
            caller = lab.client(user="alice")
            after(server, event)
            found = clients.new()
            lab.expect(set(found) == {0}, f"{name}: {set(found)} of {len(found)}")
            caller.wait_up()
            caller.stop()
            lab.note(f"{name}: {len(found)}")
        lab.ping(first.ns, server.local_ip, count=1)
        server.stop()
        poll(lambda: clients.new()[-1] == errno.ECONNREFUSED, "the port is closed", 30)
        found = clients.new(100)
    lab.expect(set(found) == {errno.ECONNREFUSED}, f"after stop: {found}")
    states = [systemd.show(unit, "ActiveState") for unit in (UNIT, SOCKET, ADMIN)]
    lab.expect(states == ["inactive"] * 3, f"after stop: {states}")
    first.wait_exit()
    server.start()
    lab.client(first.ns, up=True).stop()


@scenario(group="systemd", systemd=True)
def administration(lab):
    """pptpctrl status again and again, over restart, reload and kills: each is answered. The
    socket is root's; it goes with the server; it may be masked, or have another name."""
    server = lab.service()

    def expect_answers(*names):
        with Again(lambda: cli("status"), 0.02) as calls:
            for name, event in restarts(server).items():
                if names and name not in names:
                    continue
                calls.new()
                after(server, event)
                bad = [done for done in calls.new() if done.returncode != 0]
                lab.expect(not bad, f"{name}: {bad[:1]}")

    mode = os.stat(CONTROL)
    lab.expect(stat.S_ISSOCK(mode.st_mode) and mode.st_mode & 0o777 == 0o600 and mode.st_uid == 0,
               f"the socket: {mode}")
    lab.expect(systemd.show(ADMIN, "SubState") == "running", "the socket is not systemd's")
    expect_answers()
    server.stop()
    gone = cli("status")
    lab.expect(gone.returncode == 1 and "no server answers" in gone.stderr, f"after stop: {gone}")
    lab.expect(server.show("ActiveState") == "inactive", "pptpctrl started the server")
    systemd.systemctl("mask", "--runtime", ADMIN)
    server.start()
    expect_answers("restart", "both killed")
    server.stop()
    systemd.systemctl("unmask", "--runtime", ADMIN)
    write("/etc/default/pptpd", "DAEMON_OPTS='-p /run/other.pid'\n")
    server.start()
    lab.expect("/run/other.pid.control" in systemd.show(ADMIN, "Listen"), "the socket's other name")
    lab.expect(cli("status", "-p", "/run/other.pid").returncode == 0, "no answer there")
    server.stop()
    with contextlib.suppress(FileNotFoundError):
        os.unlink("/run/other.pid")

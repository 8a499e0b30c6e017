"""Restarts that must not end a call, nor turn a client away."""

import concurrent.futures
import os
import signal

from lab import Wire, poll, run, scenario, systemd
from lab.service import SOCKET, UNIT


def cli(*words):
    return run("srv", "/usr/sbin/pptpctrl", *words, check=False)


class TwoCalls:
    """Of alice and bob; carol is for later."""

    def __init__(self, lab):
        self.lab = lab
        self.server = lab.service(users=dict.fromkeys(("alice", "bob", "carol"), "wonder"))
        self.clients = [lab.client(user=user, up=True) for user in ("alice", "bob")]
        self.third = lab.net.client()
        self.wire = Wire(lab)
        self.before = self.look()

    def look(self):
        return {call["call"]: (call["user"], call["address"], call["interface"], call["pid"])
                for call in self.server.calls() if call["user"] != "carol"}

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
        self.lab.expect(self.look() == self.before, f"{self.before} became {self.look()}")
        for client in self.clients:
            self.lab.ping(client.ns, self.server.local_ip, count=1)
            said = self.wire.control(self.lab.net.addresses[client.ns])
            self.lab.expect(said == [], f"a client was told something: {said}")

    def carol_comes(self):
        self.lab.client(self.third, user="carol", up=True).stop()

    def carol_is_refused(self):
        mark = self.lab.syslog.mark()
        client = self.lab.client(self.third, user="carol")
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
    calls.carol_is_refused()
    manager = server.process.pid
    calls.during(lambda: os.kill(manager, signal.SIGKILL))
    poll(lambda: server.process.pid not in (0, manager), "another manager")
    calls.status("192.168.1.300")
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

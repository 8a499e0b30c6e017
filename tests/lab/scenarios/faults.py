"""A call that ends otherwise than by its client's wish: killed, cut, lost, stopped, terminated.

Each time the other side learns of it as RFC 2637 says, the only address of the pool can be
had again, and nothing is left.
"""

import contextlib
import os
import signal
import socket
import struct

from lab import DATAPATHS, Wire, inject, leftovers, poll, processes, run, scenario
from lab.client import borrowed_sockets
from lab.namespaces import libc
from lab.server import OPTIONS
from lab.wire import ADMIN_SHUTDOWN, GENERAL_ERROR, LOST_CARRIER, STOP_NONE, STOP_SHUTDOWN

ECHO = "lcp-echo-interval 1\nlcp-echo-failure 2\n"
HELPER = "/proc/sys/kernel/modprobe"
SOL_UDP, UDP_ENCAP, NO_ENCAP, L2TP_IN_UDP = 17, 100, 0, 3


class Call:
    """A call that is up, with all that is needed to break it and to look at it."""

    def __init__(self, lab, options="", **how):
        self.lab = lab
        self.server = lab.server(remote_ip="192.168.1.1", options=OPTIONS + options, **how)
        self.client = lab.client(up=True)
        self.ns = self.client.ns
        self.ip = lab.net.addresses[self.ns]
        up = self.server.wait_log(r"call (\d+) up: ")
        self.id = int(up.text.split()[1])
        lab.ping(self.ns, self.server.local_ip, count=1)
        self.wire = Wire(lab)
        self.mark = lab.syslog.mark()

    def wait_ended(self, reason):
        """The server's last word about it."""
        ended = self.server.wait_log(rf"call {self.id} ended: ", 60, self.mark)
        self.lab.expect(reason in ended.text, f"not for \"{reason}\": {ended.text}")
        self.lab.expect(ended.text.endswith(', user "alice"'), f"no user: {ended.text}")

    def expect_told(self, cdn, stop, lcp=True):
        """PPP's end first, then the call's, then the connection's, then nothing more."""
        first = ["LCP TermReq"] if lcp else []
        self.wire.wait_order(self.ip, [*first, ("CDN", cdn), ("StopCCRQ", stop)])
        self.wire.wait_closed(self.ip)
        control = self.wire.control(self.ip)
        self.lab.expect(control == [("CDN", cdn), ("StopCCRQ", stop)], f"sent on TCP: {control}")

    def expect_gone(self):
        """Nothing is left, of the client neither; a new client gets the address."""
        self.client.wait_exit()
        self.lab.expect_clean()
        if self.lab.datapath == "kernel":
            self.lab.expect(leftovers.call_id_is_free("srv", self.server.address, self.id),
                            f"the kernel still has call {self.id}")
        again = self.lab.client(self.ns, up=True)
        self.lab.expect(again.address == "192.168.1.1", f"new client: {again.address}")
        self.lab.ping(self.ns, self.server.local_ip, count=1)
        again.stop()
        self.lab.expect_clean()

    def process(self, pattern):
        """The one process of the server whose title or name has these words."""
        found = [pid for pid, _, title in self.server.ps()
                 if pattern in title or pattern == processes.name(pid)]
        self.lab.expect(len(found) == 1, f"processes {pattern}: {self.server.ps()}")
        return found[0]


@scenario(datapaths=DATAPATHS)
def client_killed(lab):
    """pppd and pptp of the client are killed: TCP tells the server."""
    call = Call(lab)
    call.client.kill()
    call.wait_ended("client closed the TCP connection")
    call.expect_gone()


@scenario(datapaths=DATAPATHS)
def tcp_reset(lab):
    """The control connection is reset: the call ends, the client is sent nothing on TCP."""
    call = Call(lab)
    call.client.reset_tcp()
    call.wait_ended("TCP connection to the client broke")
    lab.expect(call.wire.control(call.ip) == [], f"sent on TCP: {call.wire.control(call.ip)}")
    call.expect_gone()


@scenario(datapaths=DATAPATHS)
def gre_cut(lab):
    """GRE is lost both ways, TCP is not: LCP echo ends the call, TCP tells the client."""
    call = Call(lab, options=ECHO)
    lab.net.block_gre(call.ns)
    call.wait_ended("the client no longer answers LCP echo requests")
    call.expect_told(LOST_CARRIER, STOP_NONE)
    call.client.wait_exit()
    lab.net.unblock_gre(call.ns)
    call.expect_gone()


@scenario(datapaths=DATAPATHS)
def pppd_killed(lab):
    """The server's pppd is killed: CDN (lost carrier), StopCCRQ, close."""
    call = Call(lab)
    os.kill(call.server.pppds()[0], signal.SIGKILL)
    call.wait_ended("pppd was killed by signal 9")
    call.expect_told(LOST_CARRIER, STOP_NONE, lcp=False)
    call.expect_gone()


@scenario(datapaths=["relay"])
def pppd_gone(lab):
    """pppd cannot be executed any more: the log says why, the client is told; later it can again."""
    link = "/run/a-pppd"
    os.symlink("/usr/sbin/pppd", link)
    server, ns = lab.server(conf=f"ppp {link}\n"), lab.net.client()
    lab.expect(lab.load(ns, "login").result()["up"] == 1, "no login at first")
    os.unlink(link)
    result = lab.load(ns, "login").result()
    lab.expect(result["up"] == 0, f"a login without pppd: {result}")
    server.wait_log(rf"cannot run {link}: No such file or directory")
    os.symlink("/usr/sbin/pppd", link)
    lab.expect(lab.load(ns, "login").result()["up"] == 1, "no login afterwards")
    lab.expect_clean()


@scenario(datapaths=DATAPATHS)
def parent_killed(lab):
    """The per-call parent is killed: the call goes on, and is ended as any other."""
    call = Call(lab)
    os.kill(call.process("pptpd ["), signal.SIGKILL)
    call.server.wait_log(rf"call {call.id}: its parent process \d+ is gone; the call goes on", 60,
                         call.mark)
    lab.ping(call.ns, call.server.local_ip, count=3)
    said = run(None, "pptpctrl", "terminate", str(call.id)).stdout
    lab.expect(said == "1 call ending\n", f"terminate said: {said}")
    call.wait_ended("ended by the administrator")
    call.expect_told(ADMIN_SHUTDOWN, STOP_NONE)
    call.expect_gone()


@contextlib.contextmanager
def kernel_asks(lab):
    """A list that fills with what the kernel has its helper load meanwhile."""
    path, log, asked = lab.file("modprobe"), lab.file("modprobe.log"), []
    with open(path, "w") as script:
        script.write(f'#!/bin/sh\necho "$@" >>{log}\nexec /sbin/modprobe "$@"\n')
    os.chmod(path, 0o755)
    with open(HELPER) as setting:
        was = setting.read()
    with open(HELPER, "w") as setting:
        setting.write(path)
    try:
        yield asked
    finally:
        with open(HELPER, "w") as setting:
            setting.write(was)
        with contextlib.suppress(FileNotFoundError), open(log) as lines:
            asked += [line.strip() for line in lines]


@scenario(datapaths=DATAPATHS)
def interface_gone(lab):
    """A call is over once its own interface is gone, whoever has the name by then; to find that
    out the kernel looks for no driver, for which the manager would have to wait."""
    call = Call(lab)
    name = call.server.calls()[0]["interface"]
    with kernel_asks(lab) as asked:
        os.kill(call.server.process.pid, signal.SIGSTOP)
        os.kill(call.server.pppds()[0], signal.SIGKILL)
        poll(lambda: f"interface {name} in srv" not in leftovers.stray_interfaces("srv"),
             f"{name} is gone")
        run("srv", "ip", "link", "add", name, "type", "dummy")
        os.kill(call.server.process.pid, signal.SIGCONT)
        call.wait_ended("pppd was killed by signal 9")
        call.client.wait_exit()
        again = lab.client(call.ns, up=True)
        lab.expect(again.address == "192.168.1.1", f"new client: {again.address}")
        run("srv", "ip", "link", "del", name)
        again.stop()
        lab.expect_clean()
    drivers = [words for words in asked if "netdev-" in words]
    lab.expect(not drivers, f"the kernel looked for drivers: {drivers}")


@scenario(datapaths=DATAPATHS)
def server_stopped(lab):
    """SIGTERM to the manager: LCP Terminate, CDN (administrator), StopCCRQ (shutdown)."""
    call = Call(lab)
    lab.expect(call.server.stop() == 0, "the server's exit status is not 0")
    call.wait_ended("server was stopped")
    call.expect_told(ADMIN_SHUTDOWN, STOP_SHUTDOWN)
    call.client.wait_exit()
    lab.expect_clean()
    call.server.start()
    call.expect_gone()


# -- the manager's own processes --------------------------------------------------

def kill_manager(call, *pids):
    processes.stop_and_kill(*pids)
    call.server.process.wait(60)
    call.wire.wait_closed(call.ip)
    call.client.wait_exit()
    call.lab.expect_clean(30)
    call.server.start()
    call.expect_gone()


@scenario(datapaths=DATAPATHS)
def manager_killed(lab):
    """Launcher and worker are killed together: the per-call parent ends pppd, nothing is left."""
    call = Call(lab)
    kill_manager(call, call.server.process.pid, call.process("pptpd-worker"))


@scenario(datapaths=["relay"])
def launcher_killed(lab):
    """The launcher alone is killed: the worker goes too, the call ends, nothing is left."""
    call = Call(lab)
    kill_manager(call, call.server.process.pid)
    lab.expect(call.server.find_log(r"launcher is gone", call.mark), "the worker does not say why")


# -- the L2TP tunnel ---------------------------------------------------------------

def tunnel_socket(server):
    """The kernel's end of the loopback pair, borrowed from the launcher."""
    for sock in borrowed_sockets(server.process.pid, socket.SOCK_DGRAM):
        if sock.getsockopt(SOL_UDP, UDP_ENCAP) == L2TP_IN_UDP:
            return sock
        sock.close()
    raise AssertionError("the launcher has no L2TP socket")


@scenario(datapaths=["relay"])
def short_datagram(lab):
    """One that is too short for the kernel's L2TP says nothing about a session: the call stays."""
    call = Call(lab)
    with tunnel_socket(call.server) as sock:
        near, far = sock.getsockname(), sock.getpeername()
        for size in 6, 13:
            datagram = struct.pack("!HHH", 2, 1, call.id) + bytes(size - 6)
            inject("srv", far[0], near[0], struct.pack("!HHHH", far[1], near[1], 8 + size, 0) +
                   datagram, 17)
    # For longer than the launcher waits for the end of such a call.
    lab.ping(call.ns, call.server.local_ip, count=30)
    lab.expect(not call.server.find_log("session was deleted"), "its session is taken for deleted")
    call.client.stop()
    lab.expect_clean()


@scenario(datapaths=["relay"])
def session_deleted(lab):
    """Frames come back from the tunnel, as when another program deletes it: the call ends."""
    call = Call(lab)
    to_client = ["FORWARD", "-p", "gre", "-d", call.ip, "-j", "DROP"]
    run("net", "iptables-legacy", "-w", "-I", *to_client)
    with tunnel_socket(call.server) as sock:
        # These kernels have no L2TP netlink to delete it by. This makes the kernel hand the
        # datagrams to the socket's owner, as it does with those of a session it does not know.
        # The other direction is cut by the filter above.
        sock.setsockopt(SOL_UDP, UDP_ENCAP, NO_ENCAP)
        lab.ping(call.ns, call.server.local_ip, count=1, wait=1, must=False)
        call.wait_ended("its L2TP session on the loopback pair was deleted by another program")
        # Or the kernel does not take the tunnel down with its socket.
        sock.setsockopt(SOL_UDP, UDP_ENCAP, L2TP_IN_UDP)
    call.expect_told(GENERAL_ERROR, STOP_NONE, lcp=False)
    run("net", "iptables-legacy", "-w", "-D", *to_client)
    expect_gone_after_restart(call)


@scenario(datapaths=["relay"])
def tunnel_lost(lab):
    """The kernel's end of the loopback pair is unbound: LCP echo ends the call, the next one
    gets a new tunnel."""
    call = Call(lab, options=ECHO)
    with tunnel_socket(call.server) as sock:
        # To AF_UNSPEC: the socket loses both its port and its peer.
        libc.connect(sock.fileno(), bytes(16), 16)
    call.wait_ended("the client no longer answers LCP echo requests")
    call.expect_told(LOST_CARRIER, STOP_NONE, lcp=False)
    call.expect_gone()
    lab.expect(call.server.find_log(r"tunnel \d+ on 127.0.0.1 is gone .* making a new one",
                                    call.mark), "no word about the new tunnel")


def expect_gone_after_restart(call):
    """The tunnel still exists but is maimed for good: only a new server gets another one."""
    call.client.wait_exit()
    call.lab.expect_clean()
    call.lab.expect(call.server.stop() == 0, "the server's exit status is not 0")
    call.lab.expect_clean()
    call.server.start()
    call.expect_gone()


# -- the administrator --------------------------------------------------------------

@scenario(datapaths=DATAPATHS)
def terminate(lab):
    """pptpctrl terminate by user, call, assigned and client's address, all: these and no others."""
    users = ["alice", "bob", "carol", "dave", "erin"]
    server = lab.server(users={user: "wonder" for user in users})
    calls = {user: lab.client(user=user) for user in users}
    for call in calls.values():
        call.wait_up()
    poll(lambda: len(server.find_log(r"call \d+ up: ")) == len(users), "all are up")
    wire = Wire(lab)
    listed = {entry["user"]: entry for entry in server.calls()}
    selections = {"bob": "user=bob", "carol": str(listed["carol"]["call"]),
                  "dave": f"ip={calls['dave'].address}",
                  "erin": f"ip={lab.net.addresses[calls['erin'].ns]}", "alice": "all"}
    for user, selection in selections.items():
        expect_terminated(lab, server, wire, calls.pop(user), selection)
        left = {entry["user"] for entry in server.calls()}
        lab.expect(left == set(calls), f"after terminate {selection}: {left}")
    lab.expect_clean()
    nobody = run(None, "pptpctrl", "terminate", "user=bob", check=False)
    lab.expect(nobody.returncode == 1, f"nobody terminated: {nobody}")


def expect_terminated(lab, server, wire, call, selection):
    mark = lab.syslog.mark()
    said = run(None, "pptpctrl", "terminate", selection).stdout
    lab.expect(said == "1 call ending\n", f"terminate {selection} said: {said}")
    server.wait_log(rf"call \d+ ended: client {lab.net.addresses[call.ns]},.* ended by the "
                    rf"administrator, user \"{call.user}\"", 60, mark)
    address = lab.net.addresses[call.ns]
    wire.wait_order(address, ["LCP TermReq", ("CDN", ADMIN_SHUTDOWN), ("StopCCRQ", STOP_NONE)])
    wire.wait_closed(address)
    call.wait_exit()

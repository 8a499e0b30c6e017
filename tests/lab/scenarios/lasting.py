"""Calls that outlive the processes that serve them: with traffic running, nothing that is lost
or changed may be seen by a client.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import shutil
import signal
import socket
import struct

from lab import DATAPATHS, parse_gre, poll, processes, scenario, steady
from lab.wire import LOST_CARRIER, STOP_NONE, STOP_SHUTDOWN

SYS_CLONE3 = 435


class Calls(steady.Calls):
    """Two calls that are up."""

    def __init__(self, lab, start=None, **how):
        server = (start or lab.server)(users={"alice": "wonder", "bob": "wonder"}, **how)
        self.clients = [lab.client(user="alice", up=True), lab.client(user="bob", up=True)]
        server.wait_log(r"call \d+ up: ", count=2)
        super().__init__(lab, server, [client.ns for client in self.clients])
        self.mark = lab.syslog.mark()

    def stream(self):
        return steady.Stream(self.clients[0].ns, "srv", self.server.local_ip)

    def expect_kept(self):
        """The same calls, for the clients too; more can be made; all can be ended in order."""
        self.expect_same()
        for client in self.clients:
            self.lab.ping(client.ns, self.server.local_ip, count=1)
        again = self.lab.client(user="bob", up=True)
        self.lab.ping(again.ns, self.server.local_ip, count=1)
        again.stop()
        self.lab.expect(self.server.stop() == 0, "the server's exit status is not 0")
        for client in self.clients:
            address = self.lab.net.addresses[client.ns]
            self.wire.wait_order(address, [("StopCCRQ", STOP_SHUTDOWN)])
            self.wire.wait_closed(address)
            client.wait_exit()
        self.lab.expect_clean()


@scenario(datapaths=DATAPATHS)
def worker_killed(lab):
    """The worker is killed three times under traffic: no call and no byte is lost."""
    calls = Calls(lab)
    numbers = lab.capture("srv", "eth0", "proto gre", "numbers")
    stream = calls.stream()
    for _ in range(3):
        stream.moving()
        worker = calls.server.worker()
        os.kill(worker, signal.SIGKILL)
        calls.server.wait_log(rf"worker (?!{worker}\b)\d+ goes on with 2 calls", 60, calls.mark)
        calls.mark = lab.syslog.mark()
    stream.moving()
    stream.end()
    expect_ascending(calls, numbers)
    calls.expect_kept()


def expect_ascending(calls, capture):
    """No number is used twice: what came later would be dropped as old."""
    last, n = {}, 0
    for packet in (parse_gre(frame) for _, frame in capture.stop()):
        if packet and packet.source == calls.server.address and packet.seq is not None:
            before = last.get(packet.destination, -1)
            calls.lab.expect(packet.seq > before,
                             f"{packet.destination}: {packet.seq} after {before}")
            last[packet.destination], n = packet.seq, n + 1
    calls.lab.expect(n > 100, f"only {n} frames were captured")


@scenario(datapaths=["relay"])
def worker_dies_often(lab):
    """The fifth death within a minute ends all calls, aloud; the server serves on."""
    calls = Calls(lab)
    for _ in range(5):
        worker = poll(calls.server.worker, "there is a worker")
        mark = lab.syslog.mark()
        os.kill(worker, signal.SIGKILL)
        calls.server.wait_log(r"worker \d+ goes on with", 60, mark)
    calls.server.wait_log(r"5 WORKERS DIED WITHIN A MINUTE: ALL CALLS ARE ENDED", 60, calls.mark)
    for client in calls.clients:
        address = lab.net.addresses[client.ns]
        calls.wire.wait_order(address, [("StopCCRQ", STOP_SHUTDOWN)])
        calls.wire.wait_closed(address)
        client.wait_exit()
    poll(lambda: not calls.server.pppds(), "their pppds end")
    again = lab.client(user="alice", up=True)
    lab.ping(again.ns, calls.server.local_ip, count=1)
    again.stop()


class Table:
    """The newest worker's table, as its header and slots lie in memory (pptpctrl/state.c)."""

    def __init__(self, pid, name="pptpd-worker"):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(entry.path).startswith(f"/memfd:{name}"):
                    self.fd = os.open(entry.path, os.O_RDWR)
        self.map = mmap.mmap(self.fd, 0)
        self.n, self.rec, self.live = struct.unpack_from("<12xIII", self.map)
        copy = -(-(24 + self.rec) // 8) * 8
        self.stride = -(-(8 + 2 * copy + self.live) // 64) * 64
        self.copy_size = copy
        self.slots = 64 + -(-self.n // 64) * 64     # where they begin

    def close(self):
        self.map.close()
        os.close(self.fd)

    def used(self):
        """Slots that have a record."""
        found = []
        for slot in range(self.n):
            at = self.slots + slot * self.stride + 8
            copies = [struct.unpack_from("<QQI", self.map, at + k * self.copy_size)
                      for k in range(2)]
            if max(copies)[2] > 0:
                found.append(slot)
        return found

    def blame(self, slot):
        """As if that slot's input were just being worked on."""
        struct.pack_into("<I", self.map, 32, slot + 1)

    def break_record(self, slot):
        """Both copies."""
        for k in range(2):
            at = self.slots + slot * self.stride + 8 + k * self.copy_size + 24
            self.map[at + 8] ^= 0xff


def slot_of(calls, table, ns):
    """The slot that has this client's address in its record."""
    address = bytes(int(part) for part in calls.lab.net.addresses[ns].split("."))
    found = [slot for slot in table.used()
             if address in table.map[table.slots + slot * table.stride:][:table.stride]]
    calls.lab.expect(len(found) == 1, f"slots of {ns}: {found} of {table.used()}")
    return found[0]


@scenario(datapaths=["relay"])
def record_blamed(lab):
    """The worker crashes twice over one connection's input: that one is ended, the other not."""
    calls = Calls(lab)
    victim, other = calls.clients
    for _ in range(2):
        worker = poll(calls.server.worker, "there is a worker")
        mark = lab.syslog.mark()
        table = Table(calls.server.process.pid)
        os.kill(worker, signal.SIGSTOP)
        table.blame(slot_of(calls, table, victim.ns))
        table.close()
        os.kill(worker, signal.SIGSEGV)
        os.kill(worker, signal.SIGCONT)
        calls.server.wait_log(r"worker \d+ goes on with 2 calls", 60, mark)
        lab.ping(other.ns, calls.server.local_ip, count=1)
    calls.server.wait_log(r"brought the worker down 2 times: its calls are ended", 60, mark)
    address = lab.net.addresses[victim.ns]
    calls.wire.wait_order(address, [("StopCCRQ", STOP_NONE)])
    calls.wire.wait_closed(address)
    victim.wait_exit()
    poll(lambda: len(calls.server.calls()) == 1, "one call is left")
    lab.ping(other.ns, calls.server.local_ip, count=1)
    calls.server.stop()
    other.wait_exit()
    lab.expect_clean()


@scenario(datapaths=["relay"])
def record_broken(lab):
    """A record is corrupt when the worker dies: that call is ended in order, the other kept."""
    calls = Calls(lab)
    victim, other = calls.clients
    worker = calls.server.worker()
    table = Table(calls.server.process.pid)
    os.kill(worker, signal.SIGSTOP)
    table.break_record(slot_of(calls, table, victim.ns))
    table.close()
    os.kill(worker, signal.SIGKILL)
    address = lab.net.addresses[victim.ns]
    calls.wire.wait_order(address, [("StopCCRQ", STOP_NONE)])
    calls.wire.wait_closed(address)
    victim.wait_exit()
    poll(lambda: len(calls.server.calls()) == 1, "one call is left")
    lab.ping(other.ns, calls.server.local_ip, count=1)
    calls.server.stop()
    other.wait_exit()
    lab.expect_clean()


# -- the launcher's turn ------------------------------------------------------------

def expect_soon_same(calls):
    """The next launcher may have to read its tables first."""
    poll(lambda: calls.look() == calls.before, "the calls are listed as before")
    calls.expect_same()


@scenario(datapaths=DATAPATHS)
def reload(lab):
    """SIGHUP under traffic: the program is executed again, with the new configuration for new
    calls; one with errors changes nothing."""
    calls = Calls(lab)
    server, stream = calls.server, calls.stream()
    pid, worker = server.process.pid, calls.server.worker()
    stream.moving()
    server.send_signal(signal.SIGHUP)
    server.wait_log(r"2 calls of the manager before go on", 60, calls.mark)
    server.wait_log(r"connections available", 60, calls.mark)
    stream.moving()
    expect_soon_same(calls)
    lab.expect(server.process.pid == pid and server.process.poll() is None, "another pid")
    lab.expect(calls.server.worker() not in (None, worker), "no other worker")
    mark, worker = lab.syslog.mark(), calls.server.worker()
    server.remote_ip = "192.168.1.nonsense"
    server.write_files()
    server.send_signal(signal.SIGHUP)
    server.wait_log(r"the error is in /etc/pptpd.conf line 3", 60, mark)
    server.wait_log(r"the configuration has errors: all goes on with the old one", 60, mark)
    lab.expect(calls.server.worker() == worker, "the worker changed for a bad configuration")
    server.remote_ip = "192.168.1.77-99"
    server.write_files()
    mark = lab.syslog.mark()
    server.send_signal(signal.SIGHUP)
    server.wait_log(r"connections available", 60, mark)
    expect_soon_same(calls)
    again = lab.client(user="bob", up=True)
    lab.expect(again.address == "192.168.1.77", f"not from the new pool: {again.address}")
    again.stop()
    stream.moving()
    stream.end()
    calls.clients[1].stop()
    server.wait_log(r"call \d+ ended: .*user \"bob\"", 60, calls.mark)
    server.idle = {}
    server.stop()
    calls.clients[0].wait_exit()
    lab.expect_clean()


@scenario(datapaths=["relay"])
def replaced_program(lab):
    """SIGHUP takes up a program that was replaced; one that does not run changes nothing."""
    program = "/tmp/pptpd"

    def replace(write):
        write(program + ".new")
        os.chmod(program + ".new", 0o755)
        os.rename(program + ".new", program)

    def ours(path):
        shutil.copy("/usr/sbin/pptpctrl", path)

    def broken(path):
        with open(path, "wb") as file:
            file.write(b"\x7fELF, or not")

    def start(**how):
        server = lab.server(start=False, **how)
        server.program = lambda: program
        return server.start()

    replace(ours)
    calls = Calls(lab, start=start)
    pid, stream = calls.server.process.pid, calls.stream()
    replace(ours)
    lab.expect(not os.path.samefile(f"/proc/{pid}/exe", program), "it was not replaced")
    stream.moving()
    calls.server.send_signal(signal.SIGHUP)
    poll(lambda: os.path.samefile(f"/proc/{pid}/exe", program), "the new one runs")
    calls.server.wait_log(r"connections available", 60, calls.mark)
    stream.moving()
    replace(broken)
    mark = lab.syslog.mark()
    calls.server.send_signal(signal.SIGHUP)
    calls.server.wait_log(r"/tmp/pptpd does not run: all goes on", 60, mark)
    stream.moving()
    stream.end()
    calls.expect_kept()


# -- under a supervisor that loses things --------------------------------------------

def kill_all(server):
    """Launcher and worker at one instant; the calls' own processes stay."""
    victims = [server.process.pid, *server.workers()]
    processes.stop_and_kill(*victims)
    server.process.wait(60)
    poll(lambda: all(processes.state(pid) in ("", "Z") for pid in victims), "they are gone")


def call_id(calls, user):
    return next(call for call, what in calls.before.items() if what[0] == user)


def expect_told_and_gone(calls, client):
    """Told on the control connection that its call is over; its pppd ended."""
    address = calls.lab.net.addresses[client.ns]
    calls.wire.wait_closed(address)
    client.wait_exit()
    return calls.wire.control(address)


def expect_kept_alone(calls, client, user):
    poll(lambda: [call["user"] for call in calls.server.calls()] == [user], f"{user} alone is left")
    poll(lambda: len(calls.server.pppds()) == 1, "one pppd is left")
    calls.lab.ping(client.ns, calls.server.local_ip, count=1)
    calls.lab.expect(calls.wire.control(calls.lab.net.addresses[client.ns]) == [],
                     "the one that is kept was told something")


def finish(calls, *clients):
    calls.server.stop()
    for client in clients:
        client.wait_exit()
    calls.lab.expect_clean()


@scenario(datapaths=DATAPATHS)
def successor(lab):
    """Launcher and worker are killed under traffic; the next one gets all descriptors."""
    calls = Calls(lab, start=lab.supervised)
    stream = calls.stream()
    for _ in range(2):
        stream.moving()
        kill_all(calls.server)
        calls.server.start()
        stream.moving()
        expect_soon_same(calls)
    stream.end()
    calls.expect_kept()


@scenario(datapaths=["relay"])
def orphan_inherited(lab):
    """A per-call parent is killed, then launcher and worker: both calls go on to their ends."""
    calls = Calls(lab, start=lab.supervised)
    os.kill(calls.before[call_id(calls, "alice")][3], signal.SIGKILL)
    calls.server.wait_log(r"is gone; the call goes on", 60, calls.mark)
    kill_all(calls.server)
    calls.server.start()
    poll(lambda: len(calls.server.calls()) == 2, "both calls are there")
    for client in calls.clients:
        lab.ping(client.ns, calls.server.local_ip, count=1)
    calls.clients[0].stop()
    calls.server.wait_log(r"call \d+ ended: .*client cleared the call, user \"alice\"", 60,
                          calls.mark)
    expect_kept_alone(calls, calls.clients[1], "bob")
    finish(calls, calls.clients[1])


@scenario(datapaths=["relay"])
def pppd_died_meanwhile(lab):
    """A pppd dies while there is no launcher: its client is told, the other call is kept."""
    calls = Calls(lab, start=lab.supervised)
    victim, other = calls.clients
    pppd = children(calls.before[call_id(calls, "alice")][3])[0]
    kill_all(calls.server)
    os.kill(pppd, signal.SIGKILL)
    calls.server.start()
    calls.server.wait_log(r"call \d+ ended: .*pppd was killed by signal 9.* user \"alice\"", 60,
                          calls.mark)
    said = expect_told_and_gone(calls, victim)
    lab.expect(said == [("CDN", LOST_CARRIER), ("StopCCRQ", STOP_NONE)], f"told: {said}")
    expect_kept_alone(calls, other, "bob")
    finish(calls, other)


def process_of_pid(pid):
    """Another process with the pid of one that ended, as kernels give them out some day."""
    wanted = ctypes.c_int(pid)
    clone_args = (ctypes.c_uint64 * 10)(0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0,
                                        ctypes.addressof(wanted), 1)
    libc = ctypes.CDLL(None, use_errno=True)
    got = libc.syscall(SYS_CLONE3, clone_args, ctypes.sizeof(clone_args))
    if got == 0:
        os.execv("/bin/sleep", ["sleep", "600"])
    if got != pid:
        raise AssertionError(f"no process {pid}: {os.strerror(ctypes.get_errno())}")


@scenario(datapaths=["relay"])
def pids_reused(lab):
    """A call's processes die while there is no launcher, and others get their pids: that call is
    ended without touching them, the other one is kept."""
    calls = Calls(lab, start=lab.supervised)
    victim, other = calls.clients
    parent = calls.before[call_id(calls, "alice")][3]
    pids = [parent, *children(parent)]
    kill_all(calls.server)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    poll(lambda: not any(processes.state(pid) for pid in pids), "they are gone")
    for pid in pids:
        process_of_pid(pid)
    calls.server.start()
    said = expect_told_and_gone(calls, victim)
    lab.expect(said[-1:] == [("StopCCRQ", STOP_NONE)], f"told: {said}")
    expect_kept_alone(calls, other, "bob")
    for pid in pids:
        lab.expect(processes.state(pid) == "S", f"the new {pid} was hurt")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    finish(calls, other)


def children(pid):
    return [child for child in processes.pids() if processes.parent(child) == pid]


@scenario(datapaths=["relay"])
def descriptor_lost(lab):
    """The socket to a per-call parent is lost: that call is ended, the other one is kept."""
    calls = Calls(lab, start=lab.supervised)
    victim, other = calls.clients
    kill_all(calls.server)
    calls.server.drop(f"+s{call_id(calls, 'alice'):x}")
    calls.server.start()
    said = expect_told_and_gone(calls, victim)
    lab.expect(said[-1:] == [("StopCCRQ", STOP_NONE)], f"told: {said}")
    expect_kept_alone(calls, other, "bob")
    finish(calls, other)


@scenario(datapaths=["relay"])
def manager_record_blamed(lab):
    """The launcher crashes twice over one call's record: that call is ended, the other one kept."""
    calls = Calls(lab, start=lab.supervised)
    victim, other = calls.clients
    for _ in range(2):
        expect_soon_same(calls)
        table = Table(calls.server.process.pid, "pptpd-calls")
        kill_all(calls.server)
        table.blame(slot_of(calls, table, victim.ns))
        table.close()
        calls.server.start()
    calls.server.wait_log(r"its record brought the manager down twice: the call is ended", 60,
                          calls.mark)
    said = expect_told_and_gone(calls, victim)
    lab.expect(said[-1:] == [("StopCCRQ", STOP_NONE)], f"told: {said}")
    expect_kept_alone(calls, other, "bob")
    again = lab.client(user="alice", up=True)
    again.stop()
    finish(calls, other)


@scenario(datapaths=["relay"])
def descriptor_wrong(lab):
    """A control connection that is none: that call is ended, the other one is kept."""
    calls = Calls(lab, start=lab.supervised)
    victim, other = calls.clients
    tcp = {name: address_of(fd) for name, fd in calls.server.held.items() if name[:2] == "+t"}
    name = next(n for n, address in tcp.items() if address == lab.net.addresses[victim.ns])
    kill_all(calls.server)
    calls.server.replace(name, os.open("/dev/null", os.O_RDONLY))
    calls.server.start()
    calls.server.wait_log(r"a control connection that was kept is none", 60, calls.mark)
    expect_told_and_gone(calls, victim)
    expect_kept_alone(calls, other, "bob")
    finish(calls, other)


def address_of(fd):
    with socket.socket(fileno=os.dup(fd)) as sock:
        return sock.getpeername()[0]


def with_version(fd, major=0, minor=0):
    """Another version of the table that is in fd."""
    with mmap.mmap(fd, 0) as table:
        old = struct.unpack_from("<HH", table, 4)
        struct.pack_into("<HH", table, 4, old[0] + major, old[1] + minor)
        checksum = 0xcbf29ce484222325
        for byte in table[:24]:
            checksum = (checksum ^ byte) * 0x100000001b3 % 2**64
        struct.pack_into("<Q", table, 24, checksum)


@scenario(datapaths=["relay"])
def other_minor_version(lab):
    """Both tables are of a version with more fields: all is kept."""
    calls = Calls(lab, start=lab.supervised)
    stream = calls.stream()
    stream.moving()
    kill_all(calls.server)
    for letter in "aw":
        with_version(calls.server.held[calls.server.names(letter)[0]], minor=1)
    calls.server.start()
    stream.moving()
    stream.end()
    expect_soon_same(calls)
    calls.expect_kept()


@scenario(datapaths=["relay"])
def other_major_version(lab):
    """A table cannot be read: all calls are ended in order, none half; new ones come."""
    for letter in "aw":
        calls = Calls(lab, start=lab.supervised)
        kill_all(calls.server)
        with_version(calls.server.held[calls.server.names(letter)[0]], major=1)
        calls.server.start()
        calls.server.wait_log(r"of a version that this program cannot read", 60, calls.mark)
        for client in calls.clients:
            said = expect_told_and_gone(calls, client)
            lab.expect(said[-1:] == [("StopCCRQ", STOP_NONE)], f"told: {said}")
        poll(lambda: not calls.server.pppds(), "every pppd ends", 60)    # pylint: disable=W0640
        lab.expect(calls.server.calls() == [], "half a call is left")
        again = lab.client(user="alice", up=True)
        again.stop()
        finish(calls)


@scenario(datapaths=["relay"])
def table_corrupt(lab):
    """The launcher's table is cut off, then full of noise: calls end in order, none half."""
    for damage in (lambda: os.memfd_create("short"), noise):
        calls = Calls(lab, start=lab.supervised)
        kill_all(calls.server)
        calls.server.replace(calls.server.names("a")[0], damage())
        calls.server.start()
        for client in calls.clients:
            said = expect_told_and_gone(calls, client)
            lab.expect(said[-1:] == [("StopCCRQ", STOP_NONE)], f"told: {said}")
        poll(lambda: not calls.server.pppds(), "every pppd ends", 60)    # pylint: disable=W0640
        finish(calls)


def noise():
    fd = os.memfd_create("noise", os.MFD_ALLOW_SEALING)
    os.write(fd, os.urandom(65536))
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


@scenario(datapaths=["relay"], long=True, timeout=400)
def nobody_comes(lab):
    """Descriptors are held, but no other launcher comes: the calls' parents end them."""
    calls = Calls(lab, start=lab.supervised)
    pppds = calls.server.pppds()
    kill_all(calls.server)
    poll(lambda: all(processes.state(pid) in ("", "Z") for pid in pppds), "every pppd ends", 180)
    lab.expect(len(calls.server.held) > 0, "nothing was held")
    calls.server.start()
    for client in calls.clients:
        expect_told_and_gone(calls, client)
    finish(calls)

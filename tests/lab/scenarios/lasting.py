"""Calls that outlive the processes that serve them: with traffic running, nothing that is lost
or changed may be seen by a client.
"""

import contextlib
import hashlib
import mmap
import os

import signal
import socket
import struct
import threading

from lab import DATAPATHS, Wire, inside, poll, processes, scenario
from lab.wire import STOP_NONE, STOP_SHUTDOWN

CHUNK = 16384


class Stream:
    """One TCP connection through a call: numbered bytes there, the same back, until it is ended."""

    def __init__(self, ns_from, ns_to, address):
        self.sent, self.echoed, self.back = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        self.n_sent = self.n_back = 0
        self.over, self.error = threading.Event(), None
        with inside(ns_to):
            listener = socket.create_server((address, 0))
        with inside(ns_from):
            self.near = socket.socket()
        self.near.settimeout(120)
        self.near.connect(listener.getsockname())
        self.far, _ = listener.accept()
        self.far.settimeout(120)
        listener.close()
        self.threads = [threading.Thread(target=self.guard, args=[run], daemon=True)
                        for run in (self.send, self.echo, self.receive)]
        for thread in self.threads:
            thread.start()

    def guard(self, run):
        try:
            run()
        except OSError as error:
            self.error = error
            self.over.set()

    def send(self):
        seed = os.urandom(CHUNK)
        while not self.over.is_set():
            chunk = struct.pack("!Q", self.n_sent) + seed
            self.sent.update(chunk)
            self.near.sendall(chunk)
            self.n_sent += len(chunk)
        self.near.shutdown(socket.SHUT_WR)

    def echo(self):
        while data := self.far.recv(CHUNK):
            self.echoed.update(data)
            self.far.sendall(data)
        self.far.shutdown(socket.SHUT_WR)

    def receive(self):
        while data := self.near.recv(CHUNK):
            self.back.update(data)
            self.n_back += len(data)

    def moving(self, size=100_000):
        """So much more has come back."""
        want = self.n_back + size
        poll(lambda: self.n_back >= want or self.error, "the stream moves", 60)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(120)
        self.near.close()
        self.far.close()
        if self.error or any(thread.is_alive() for thread in self.threads):
            raise AssertionError(f"the stream broke after {self.n_back} bytes: {self.error}")
        digests = {d.hexdigest() for d in (self.sent, self.echoed, self.back)}
        if len(digests) > 1 or self.n_sent != self.n_back:
            raise AssertionError("what came through the call is not what was sent")


class Calls:
    """Two calls that are up."""

    def __init__(self, lab, **how):
        self.lab = lab
        self.server = lab.server(users={"alice": "wonder", "bob": "wonder"}, **how)
        self.clients = [lab.client(user="alice", up=True), lab.client(user="bob", up=True)]
        self.wire = Wire(lab)
        self.before = self.look()
        self.mark = lab.syslog.mark()

    def stream(self):
        return Stream(self.clients[0].ns, "srv", self.server.local_ip)

    def look(self):
        """What must not change: each call's id, address, interface, processes."""
        self.server.wait_log(r"call \d+ up: ", count=2)
        return {call["call"]: (call["user"], call["address"], call["interface"], call["pid"])
                for call in self.server.calls()}

    def worker(self):
        found = [pid for pid in self.server.pids() if processes.name(pid) == "pptpd-worker"]
        return found[0] if len(found) == 1 else None

    def expect_kept(self):
        """The same calls, for the clients too; more can be made; all can be ended in order."""
        self.lab.expect(self.look() == self.before, f"{self.before} became {self.look()}")
        for client in self.clients:
            said = self.wire.control(self.lab.net.addresses[client.ns])
            self.lab.expect(said == [], f"a client was told something: {said}")
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
    stream = calls.stream()
    for _ in range(3):
        stream.moving()
        worker = calls.worker()
        os.kill(worker, signal.SIGKILL)
        calls.server.wait_log(rf"worker (?!{worker}\b)\d+ goes on with 2 calls", 60, calls.mark)
        calls.mark = lab.syslog.mark()
    stream.moving()
    stream.end()
    calls.expect_kept()


@scenario(datapaths=["relay"])
def worker_dies_often(lab):
    """The fifth death within a minute ends all calls, aloud; the server serves on."""
    calls = Calls(lab)
    for _ in range(5):
        worker = poll(calls.worker, "there is a worker")
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

    def close(self):
        self.map.close()
        os.close(self.fd)

    def used(self):
        """Slots that have a record."""
        found = []
        for slot in range(self.n):
            at = 64 + slot * self.stride + 8
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
            at = 64 + slot * self.stride + 8 + k * self.copy_size + 24
            self.map[at + 8] ^= 0xff


def slot_of(calls, table, ns):
    """The slot that has this client's address in its record."""
    address = bytes(int(part) for part in calls.lab.net.addresses[ns].split("."))
    found = [slot for slot in table.used()
             if address in table.map[64 + slot * table.stride:][:table.stride]]
    calls.lab.expect(len(found) == 1, f"slots of {ns}: {found} of {table.used()}")
    return found[0]


@scenario(datapaths=["relay"])
def record_blamed(lab):
    """The worker crashes twice over one connection's input: that one is ended, the other not."""
    calls = Calls(lab)
    victim, other = calls.clients
    for _ in range(2):
        worker = poll(calls.worker, "there is a worker")
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
    worker = calls.worker()
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

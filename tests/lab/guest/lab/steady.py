"""Calls with traffic that goes on while things happen to the server: nothing may be lost of it
but datagrams, and for how long none comes through is measured."""

import collections
import contextlib
import hashlib
import os
import selectors
import signal
import socket
import struct
import threading
import time

from . import processes, systemd
from .errors import LabError
from .load import AT_ONCE
from .namespaces import inside, run
from .wire import ADMIN_SHUTDOWN, STOP_SHUTDOWN, Wire, positions

PERIOD = 0.01       # seconds between two datagrams of a call
PROGRAMS = {"manager", "pptpd", "pptpd-worker", "pppd"}
TOLD = ("terminated by the server", "call disconnected by the server", "stopped by the server")
# Of manager and worker together, of the kernel. How much the former share depends on which of them
# is newer.
GROWTH_KB = 1024, 4096


class Stream:
    """One TCP connection through a call: numbered bytes there, the same back, until it is ended."""

    def __init__(self, ns_from, ns_to, address, chunk=4096, pause=0.01):
        self.chunk, self.pause = chunk, pause
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
        self.threads = [threading.Thread(target=self.guard, args=[part], daemon=True)
                        for part in (self.send, self.echo, self.receive)]
        for thread in self.threads:
            thread.start()

    def guard(self, part):
        try:
            part()
        except OSError as error:
            self.error = error
            self.over.set()

    def send(self):
        seed = os.urandom(self.chunk)
        while not self.over.is_set():
            chunk = struct.pack("!Q", self.n_sent) + seed
            self.sent.update(chunk)
            self.near.sendall(chunk)
            self.n_sent += len(chunk)
            self.over.wait(self.pause)
        self.near.shutdown(socket.SHUT_WR)

    def echo(self):
        while data := self.far.recv(self.chunk):
            self.echoed.update(data)
            self.far.sendall(data)
        self.far.shutdown(socket.SHUT_WR)

    def receive(self):
        while data := self.near.recv(self.chunk):
            self.back.update(data)
            self.n_back += len(data)

    def moving(self, chunks=12):
        """So much more has come back."""
        want = self.n_back + chunks * self.chunk
        processes.poll(lambda: self.n_back >= want or self.error, "the stream moves", 300)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(120)
        self.near.close()
        self.far.close()
        if self.error or any(thread.is_alive() for thread in self.threads):
            raise LabError(f"the stream broke after {self.n_back} bytes: {self.error}")
        digests = {d.hexdigest() for d in (self.sent, self.echoed, self.back)}
        if len(digests) > 1 or self.n_sent != self.n_back:
            raise LabError("what came through the call is not what was sent")


class Beat:
    """Datagrams of one call, each of which can be told from all others."""

    def __init__(self, ns, far):
        with inside(ns):
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(far)
        self.sock.setblocking(False)
        self.ns, self.sent, self.newest, self.back = ns, 0, -1, set()
        self.wrong = []
        self.last, self.gap = time.monotonic(), 0.0

    def datagram(self, number):
        return struct.pack("!I", number) + hashlib.sha256(f"{self.ns} {number}".encode()).digest()

    def send(self):
        try:
            self.sock.send(self.datagram(self.sent))
        except BlockingIOError:
            return      # the client itself sends nothing just now
        self.sent += 1

    def receive(self):
        data = self.sock.recv(2048)
        (number,) = struct.unpack_from("!I", data.ljust(4))
        if data != self.datagram(number) or number >= self.sent:
            self.wrong.append("damaged")
        elif number in self.back:
            self.wrong.append(f"{number} came twice")
        self.back.add(number)
        self.newest = max(self.newest, number)
        now = time.monotonic()
        self.gap = max(self.gap, now - self.last)
        self.last = now


class Beats:
    """One datagram each 10 ms through each of some calls, to an echo at the server's end."""

    def __init__(self, namespaces, ns_to, address):
        with inside(ns_to):
            self.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.far.bind((address, 0))
        self.far.setblocking(False)
        self.beats = [Beat(ns, self.far.getsockname()) for ns in namespaces]
        self.over, self.error = threading.Event(), None
        self.thread = threading.Thread(target=self.guard, daemon=True)
        self.thread.start()

    def guard(self):
        try:
            self.run()
        except OSError as error:
            self.error = error

    def run(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.far, selectors.EVENT_READ, self.answer)
            for beat in self.beats:
                selector.register(beat.sock, selectors.EVENT_READ, beat.receive)
            due = time.monotonic()
            while not self.over.is_set():
                for key, _ in selector.select(max(0, due - time.monotonic())):
                    key.data()
                if time.monotonic() >= due:
                    for beat in self.beats:
                        beat.send()
                    # What was missed is not made up for.
                    due = max(due, time.monotonic() - PERIOD) + PERIOD

    def answer(self):
        data, where = self.far.recvfrom(2048)
        self.far.sendto(data, where)

    def heard(self):
        """Until a datagram that is sent from now on has come back in each call."""
        want = [(beat, beat.sent) for beat in self.beats]
        processes.poll(lambda: self.error or all(beat.newest >= number for beat, number in want),
                       "datagrams come back in every call", 120)
        if self.error:
            raise LabError(f"datagrams: {self.error}")

    def gaps(self):
        """For how many ms none came, at most, in each call since this was asked for the last
        time."""
        found = [round(beat.gap * 1000) for beat in self.beats]
        for beat in self.beats:
            beat.last, beat.gap = time.monotonic(), 0.0
        return found

    def end(self):
        """(how many were sent, how many of them never came back)"""
        self.over.set()
        self.thread.join()
        for beat in self.beats:
            beat.sock.close()
            if beat.wrong:
                raise LabError(f"datagrams of {beat.ns}: {beat.wrong[:5]}")
        self.far.close()
        sent = sum(beat.sent for beat in self.beats)
        return sent, sent - sum(len(beat.back) for beat in self.beats)


class Calls:
    """Calls of users that are up and must stay as they are: for the server, and for the clients in
    these namespaces, who are told nothing. but: a user who comes and goes."""

    def __init__(self, lab, server, namespaces, but=None):
        self.lab, self.server, self.namespaces, self.but = lab, server, namespaces, but
        self.wire = Wire(lab, gre=False)
        self.before = self.look()

    def look(self):
        """Each call's user, address, interface, process."""
        return self.server.identities(self.but)

    def expect_same(self):
        now = self.look()
        gone = [what for call, what in self.before.items() if now.get(call) != what]
        self.lab.expect(now == self.before, f"calls that were lost or changed: {gone}; now {now}")
        for ns in self.namespaces:
            said = self.wire.control(self.lab.net.addresses[ns])
            self.lab.expect(said == [], f"{ns} was told something: {said}")


class Crowd(Calls):
    """Thirty calls of pptpd.service with traffic: some of the stock client with a transfer each,
    three of them with beats as well, and the load generator's with echoes."""

    STOCK, LOAD, BEATS = 5, 25, 3
    N = STOCK + LOAD
    USERS = dict.fromkeys([f"stock{n}" for n in range(STOCK)] +
                          [f"load{n}" for n in range(LOAD)] + ["guest"], "wonder")

    def __init__(self, lab, server):
        """The server has these users, and runs."""
        self.clients = [lab.client(user=f"stock{n}") for n in range(self.STOCK)]
        self.crowd_ns, self.guest_ns = lab.net.client(), lab.net.client()
        self.load = lab.load(self.crowd_ns, "echo", "-n", self.LOAD, "-m", AT_ONCE, "-N", "-u",
                             "load", "-R", 5, "-z", 100, "-t", 86400, "-P", 300)
        for client in self.clients:
            client.wait_up(180)
        self.load.wait("begun")
        server.wait_log(r"call \d+ up: ", 180, count=self.N)
        super().__init__(lab, server, [client.ns for client in self.clients] + [self.crowd_ns],
                         but="guest")
        lab.expect(len(self.before) == self.N, f"{len(self.before)} calls are up")
        self.streams = [Stream(client.ns, "srv", server.local_ip, chunk=512, pause=0.05)
                        for client in self.clients]
        self.beats = Beats([client.ns for client in self.clients[:self.BEATS]], "srv",
                           server.local_ip)
        self.gaps, self.events, self.orphans = [], [], 0
        self.heard()

    def heard(self):
        """From now on something has gone there and back in every call."""
        mark = self.load.log.mark()
        self.load.process.send_signal(signal.SIGUSR1)
        self.beats.heard()
        for stream in self.streams:
            stream.moving(2)
        up = self.load.wait("heard", 120, mark)["up"]
        self.lab.expect(up == self.LOAD, f"{up} of {self.LOAD} calls of the load are up")

    def survive(self, name, event):
        """What happens, until it is over; all calls carry traffic afterwards."""
        self.heard()
        self.beats.gaps()
        began = time.monotonic()
        event()
        self.heard()
        gaps = self.beats.gaps()
        self.lab.say(f"{name}: gaps {gaps} ms, all over after {time.monotonic() - began:.2f} s")
        self.gaps += gaps
        self.events.append(f"{name} {max(gaps)}")

    def login(self):
        """Somebody else comes, and goes; the server may still be at that when this returns."""
        result = self.lab.load(self.guest_ns, "login", "-u", "guest").result()
        self.lab.expect(result["up"] == 1, f"no login: {result['failures']}")

    def held(self):
        """How many processes, descriptors and interfaces there are for these calls. A call whose
        parent was killed counts as if it had it, and the socket to it."""
        found = collections.Counter(pptpd=self.orphans, manager_fds=self.orphans,
                                    store=self.orphans + int(self.server.show("NFileDescriptorStore")))
        manager = self.server.process.pid
        for pid in self.server.pids():
            name = "manager" if pid == manager else processes.name(pid)
            if name not in PROGRAMS:
                continue    # a script of pppd
            found[name] += 1
            if name in ("manager", "pptpd-worker"):
                found[f"{name}_fds"] += sum("timerfd" not in what
                                            for what in processes.descriptors(pid).values())
        links = run("srv", "ip", "-o", "link", "show", "type", "ppp").stdout.splitlines()
        return dict(found, interfaces=len(links))

    def memory(self):
        """kB: of the manager and its worker, and of the kernel for itself."""
        with open("/proc/sys/vm/drop_caches", "w") as setting:
            setting.write("3")
        with open("/proc/meminfo") as lines:
            kernel = next(int(line.split()[1]) for line in lines if line.startswith("SUnreclaim"))
        ours = [self.server.process.pid, *self.server.workers()]
        return sum(processes.memory(pid).get("Anonymous", 0) for pid in ours), kernel

    def level(self):
        """held() once it stays as it is, and memory(): what expect_held() compares with. Of a
        manager that took calls over: the first one has other descriptors."""
        def settled():
            held = self.held()
            return held if held == self.held() else None
        return processes.poll(settled, "the manager is idle"), self.memory()

    def expect_held(self, held, memory):
        """As much as before, once what ends has ended."""
        with contextlib.suppress(LabError):
            processes.poll(lambda: self.held() == held, "", 60, 0.2)
        now, new = self.held(), self.memory()
        self.lab.expect(now == held, f"{held} became {now}")
        self.lab.note(f"manager {memory[0]} -> {new[0]} kB, kernel {memory[1]} -> {new[1]} kB")
        for kind, before, after, most in zip(("manager", "kernel"), memory, new, GROWTH_KB):
            self.lab.expect(after - before <= most, f"the {kind} grew from {before} to {after} kB")

    def note_gaps(self):
        gaps = sorted(self.gaps)
        self.lab.note(f"{self.N} calls, longest gap of three at 10 ms: {', '.join(self.events)}; "
                      f"median {gaps[len(gaps) // 2]}, 99 % {gaps[len(gaps) * 99 // 100]} ms")

    def end_traffic(self):
        """Every byte came, and none twice."""
        for stream in self.streams:
            stream.end()
        sent, lost = self.beats.end()
        self.lab.note(f"{lost} of {sent} datagrams lost")

    def expect_told(self, *wanted):
        """The connection of each is closed after these messages, or by the client itself when it
        was told by PPP, which comes first."""
        for client in self.clients:
            address = self.lab.net.addresses[client.ns]
            self.wire.wait_closed(address)
            client.wait_exit()
            told = positions(self.wire.told(address), wanted) or client.log.find(
                "LCP terminated by peer")
            self.lab.expect(told, f"{client.ns} was told {self.wire.control(address)}")
        result = self.load.stop()
        told = sum(result["failures"].get(reason, 0) for reason in TOLD)
        self.lab.expect(told == self.LOAD, f"told: {result['failures']}")
        wrong = {name: result[name] for name in ("bad", "duplicate", "plain") if result[name]}
        self.lab.expect(not wrong, f"echoes: {wrong}")

    def stop(self):
        """systemctl stop tells each, and leaves nothing."""
        self.end_traffic()
        self.lab.expect(self.server.stop() == 0, "the server's exit status is not 0")
        self.expect_told(("CDN", ADMIN_SHUTDOWN), ("StopCCRQ", STOP_SHUTDOWN))
        self.lab.expect(int(self.server.show("NFileDescriptorStore") or 0) == 0,
                        "the store is not empty")
        self.lab.expect_clean()


def kill_parent(crowd, call):
    """Of one call: the manager takes its place, and pppd is the call's process from then on."""
    mark, (*what, pid) = crowd.lab.syslog.mark(), crowd.before[call]
    pppd = next(child for child in crowd.server.pids() if processes.parent(child) == pid)
    os.kill(pid, signal.SIGKILL)
    crowd.server.wait_log(rf"call {call}: its parent process {pid} is gone", 60, mark)
    crowd.before[call] = (*what, pppd)
    crowd.orphans += 1


def happenings(crowd):
    """What may happen to the service: {name: a function that returns when it is over}."""
    server, wait = crowd.server, crowd.server.wait_log

    def successor(act):
        """Another manager goes on with the calls."""
        def happen():
            mark = crowd.lab.syslog.mark()
            act()
            wait(r"calls of the manager before go on", 60, mark)
            wait(r"connections available", 60, mark)
            processes.poll(lambda: server.show("SubState") == "running", "the service runs")
        return happen

    def worker():
        mark = crowd.lab.syslog.mark()
        processes.stop_and_kill(*server.workers())
        wait(r"worker \d+ goes on with", 60, mark)

    return {"restart": successor(lambda: systemd.systemctl("restart", "pptpd.service")),
            "reload": successor(lambda: systemd.systemctl("reload", "pptpd.service")),
            "launcher": successor(lambda: processes.stop_and_kill(server.process.pid)),
            "worker": worker,
            "both": successor(lambda: processes.stop_and_kill(server.process.pid, *server.workers()))}

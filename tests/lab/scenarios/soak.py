"""Again and again, and very many: nothing grows, and others' logins take their usual time.

Each has a short form for `make check` and a long one for `make soak`."""

import concurrent.futures
import contextlib
import json
import random
import socket
import statistics
import struct
import subprocess
import time

from lab import (LabError, ProgramLog, gre, inside, popen, pptp, processes, run, scenario,
                 tcp_segment)
from lab.crowd import Strangers
from lab.namespaces import SERVER
from lab.traffic import SYN

WARM_UP = 0.1           # of the cycles: allocators and caches fill up then
GROWTH_KB = 192         # of launcher and worker together, after that
# Three tables of pointers and one of bytes by call id, all of them there from the start: as ids
# are random, each call may be the first to touch its page in each.
TABLES_KB = 3 * 512 + 64
KERNEL_KB = 4096        # of unreclaimable kernel memory


class Level:
    """What the server and the kernel hold for it."""

    def __init__(self, lab, server):
        lab.expect_clean(90)
        with open("/proc/sys/vm/drop_caches", "w") as setting:
            setting.write("3")
        self.manager = sum(processes.memory(pid).get("Anonymous", 0) for pid in server.idle)
        self.descriptors = server.descriptor_counts()
        self.kernel = next(int(line.split()[1]) for line in open("/proc/meminfo")
                           if line.startswith("SUnreclaim"))

    def expect_same(self, lab, before, what, growth=GROWTH_KB):
        lab.note(f"{what}: manager {before.manager} -> {self.manager} kB, kernel {before.kernel} -> "
                 f"{self.kernel} kB, descriptors {sum(before.descriptors.values())} -> "
                 f"{sum(self.descriptors.values())}")
        lab.expect(self.descriptors == before.descriptors,
                   f"descriptors: {before.descriptors} -> {self.descriptors}")
        lab.expect(self.manager - before.manager <= growth,
                   f"the manager grew from {before.manager} to {self.manager} kB")
        lab.expect(self.kernel - before.kernel <= KERNEL_KB,
                   f"kernel memory grew from {before.kernel} to {self.kernel} kB")


def level_after(lab, server, cycle, count, what, growth=GROWTH_KB):
    """cycle(n) that often; what is held after the first tenth and at the end is the same."""
    first = max(2, int(count * WARM_UP))
    for n in range(first):
        cycle(n)
    before = Level(lab, server)
    began = time.monotonic()
    for n in range(first, count):
        cycle(n)
    rate = (count - first) / (time.monotonic() - began)
    Level(lab, server).expect_same(lab, before, f"{count} {what}, {rate:.0f}/s", growth)


def control_cycles(lab, count):
    """SCCRQ, Echo, StopCCRQ, close; each tenth ends otherwise."""
    server = lab.server(datapath="auto", conf="connection-rate 0\n")
    ns = lab.net.client()

    def cycle(n):
        with pptp.Control(ns, SERVER) as control:
            control.greet()
            if n % 10 == 1:
                return                      # TCP alone ends
            if n % 10 == 2:
                control.send(bytes(12))     # not PPTP
            else:
                control.send(pptp.echorq(n) + pptp.message(pptp.STOPCCRQ, struct.pack("!BBH", 1, 0, 0)))
                control.receive(pptp.ECHORP)
                control.receive(pptp.STOPCCRP)
            control.wait_closed()

    level_after(lab, server, cycle, count, "control connections")


@scenario(group="soak", needs_build=True, timeout=300)
def control_connections(lab):
    """2,000 set-ups and ends of the control connection: memory and descriptors stay."""
    control_cycles(lab, 2000)


@scenario(group="soak", needs_build=True, long=True, timeout=4 * 3600)
def control_connections_long(lab):
    """100,000 set-ups and ends of the control connection: memory and descriptors stay."""
    control_cycles(lab, 100_000)


def call_cycles(lab, count):
    """Whole logins of the stock client, five at a time, half of them killed."""
    server = lab.server(datapath="auto")
    namespaces = [lab.net.client() for _ in range(5)]
    times = []

    def one(ns, n):
        call = lab.client(ns, up=True)
        times.append(call.set_up_time)
        lab.ping(call.ns, server.local_ip, count=1)
        if n % 2:
            call.kill()
        else:
            call.stop()
        lab.clients.remove(call)

    def cycle(n):
        with concurrent.futures.ThreadPoolExecutor(len(namespaces)) as pool:
            list(pool.map(one, namespaces, range(n, n + len(namespaces))))

    level_after(lab, server, cycle, count // len(namespaces), "times five calls",
                TABLES_KB + GROWTH_KB)
    lab.note(f"start to address {statistics.median(times):.2f} s, worst {max(times):.2f} s")


@scenario(group="soak", needs_build=True, timeout=300)
def calls(lab):
    """20 logins and ends of the stock client: memory, descriptors, kernel objects stay."""
    call_cycles(lab, 20)


@scenario(group="soak", needs_build=True, long=True, timeout=6 * 3600)
def calls_long(lab):
    """2,000 logins and ends of the stock client: memory, descriptors, kernel objects stay."""
    call_cycles(lab, 2000)


# -- very many ------------------------------------------------------------------------

def login_times(lab, ns, logins):
    """Whole logins one after the other: of the load generator, SYN to address, and of the stock
    client, which itself waits for a second."""
    load = lab.load(ns, "login", "-n", logins, "-r", 1).result()
    lab.expect(load["up"] == logins, f"{load['up']} of {logins} logins: {load['failures']}")
    stock = []
    for _ in range(max(2, logins // 4)):
        call = lab.client(ns, up=True)
        stock.append(call.set_up_time)
        call.stop()
        lab.clients.remove(call)
    times = load["setup_ms"]
    return (f"{times['median']:.0f} ms, worst {times['max']:.0f} ms; stock client "
            f"{statistics.median(stock):.2f} s, worst {max(stock):.2f} s")


def crowd(lab, count, logins):
    """Logins take their time beside very many connections that are opened again and again."""
    server, legitimate = lab.server(datapath="auto"), lab.net.client()
    attackers = Strangers(lab, count)
    with attackers:         # once to fill the allocator
        lab.client(legitimate, up=True).stop()
    before = Level(lab, server)
    lab.note(f"quiet: SYN to address {login_times(lab, legitimate, logins)}")
    with attackers:
        connections = connections_of(server)
        lab.note(f"{count} connections, {connections} kept open by the server: SYN to address "
                 f"{login_times(lab, legitimate, logins)}")
    # A connection that is kept is above 1 kB: of 10,000 that would be seen.
    Level(lab, server).expect_same(lab, before, "and then", TABLES_KB + GROWTH_KB)


def connections_of(server):
    status = run(server.ns, "/usr/sbin/pptpctrl", "status", "--json").stdout
    return json.loads(status)["now"]["connections"]


@scenario(group="soak", needs_build=True, timeout=300)
def idle_connections(lab):
    """1,000 idle and slow connections from many addresses: logins work beside them."""
    crowd(lab, 1000, 2)


@scenario(group="soak", needs_build=True, long=True, timeout=3600)
def idle_connections_long(lab):
    """10,000 idle and slow connections from many addresses: logins work beside them."""
    crowd(lab, 10_000, 20)


# -- floods ---------------------------------------------------------------------------

class Flooder:
    """Sends from a namespace as fast as it can while others are timed."""

    def __init__(self, lab, ns):
        self.ns, self.address = ns, lab.net.addresses[ns]
        with inside(ns):
            self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.control = self.call_id = None

    def connect(self):
        self.control = pptp.Control(self.ns, SERVER)
        self.control.greet()

    def call(self):
        self.connect()
        self.call_id = self.control.call()[0]

    def ip(self, packet, protocol, source=None):
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(packet), 0, 0, 64, protocol, 0,
                             socket.inet_aton(source or self.address), socket.inet_aton(SERVER))
        self.raw.sendto(header + packet, (SERVER, 0))


def over_tcp(block):
    """One connection after the other, each as long as the server lets it."""
    def work(flooder):
        if flooder.control is None:
            flooder.connect()
        try:
            flooder.control.send(block)
        except OSError:
            flooder.control.sock.close()
            flooder.connect()
    return work


def connects(flooder):
    with contextlib.suppress(OSError, LabError):
        pptp.Control(flooder.ns, SERVER).sock.close()


def syns(flooder):
    ports = random.randrange(1024, 65536), pptp.PORT
    flooder.ip(tcp_segment("198.18.2.77", SERVER, ports, SYN, 1), 6, "198.18.2.77")


def strangers(flooder):
    flooder.ip(gre(random.getrandbits(16), bytes(64), seq=0), 47, "198.18.2.77")


def in_a_call(payload, ack=None):
    def work(flooder):
        if flooder.call_id is None:
            flooder.call()
            flooder.seq = 0
        flooder.seq += 1
        flooder.ip(gre(flooder.call_id, payload, None if ack is not None else flooder.seq,
                       ack and flooder.seq), 47)
    return work


FLOODS = {
    "T06 echo": over_tcp(pptp.echorq(6) * 512),
    "M27 messages": over_tcp(pptp.message(pptp.SLI, bytes(12)) * 512),
    "T09 connections": connects,
    "T08 SYN": syns,
    "G23 strange GRE": strangers,
    "G22 data": in_a_call(b"\xff\x03\xc0\x21\x0a\x01\x03\xe8" + bytes(996)),
    "G20 acks": in_a_call(b"", ack=True),
}


def flood(lab, seconds):
    """Each for some seconds beside a call that pings; the worst of it is printed."""
    server = lab.server(datapath="auto")
    call = lab.client(up=True)
    quiet = pings_during(lab, call, server, seconds, None)
    lab.note(f"quiet {quiet}")
    for name, work in FLOODS.items():
        flooder = Flooder(lab, lab.net.client())
        lab.note(f"{name} {pings_during(lab, call, server, seconds, lambda: work(flooder))}")
        if flooder.control:
            flooder.control.sock.close()
        flooder.raw.close()
        lab.expect(call.running(), f"{name}: the call ended")
        with pptp.Control(call.ns, SERVER) as control:
            control.greet()
    call.stop()
    lab.expect_clean(90)


def pings_during(lab, call, server, seconds, work):
    """'median/worst ms' of pings through a call."""
    ping = popen(call.ns, ["ping", "-n", "-i", "0.05", "-w", str(seconds), server.local_ip],
                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log = ProgramLog(lab.file("ping.log"), ping, "ping")
    while ping.poll() is None:
        if work is None:
            ping.wait()
        for _ in range(20):
            with contextlib.suppress(OSError):
                work() if work else None
    log.thread.join(10)
    times = [float(line.text.split("time=")[1].split()[0]) for line in log.lines if "time=" in line.text]
    lab.expect(times, "no ping came back")
    return f"{statistics.median(times):.0f}/{max(times):.0f} ms"


@scenario(group="soak", needs_build=True, timeout=300)
def floods(lab):
    """Seven floods of two seconds: a call goes on, newcomers are served afterwards."""
    flood(lab, 2)


@scenario(group="soak", needs_build=True, long=True, timeout=1800)
def floods_long(lab):
    """Seven floods of a minute: a call goes on, newcomers are served afterwards."""
    flood(lab, 60)


# -- the server's own clock -------------------------------------------------------------

@scenario(group="soak", needs_build=True, long=True, timeout=900)
def vanished_client(lab):
    """T15, S12: a client's network is cut for good: asked after a minute, given up within another."""
    server = lab.server(datapath="auto")
    call = lab.client(up=True)
    mark = lab.syslog.mark()
    lab.net.cut(call.ns)
    server.wait_log(r"call \d+ ended: ", 300, mark)
    call.kill()
    lab.expect_clean(90)
    lab.expect(server.process.poll() is None, "the server ended")

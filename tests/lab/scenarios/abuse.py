"""Those of the abuse list that need more than the wire: a login, or the server's machine.

Each step is named by its id; a neighbour's call goes on through all of them. tests/wire has the
others."""

import contextlib
import os
import resource
import signal
import socket
import struct
import threading
import time

from lab import (LabError, gre, inject, inside, ip, parse_gre, poll, pptp, processes, run, scenario,
                 tcp_segment)
from lab.server import OPTIONS, write
from lab.traffic import ACK, RST, SYN

ECHO = "lcp-echo-interval 1\nlcp-echo-failure 3\n"


class World:
    """A server, a neighbour whose call must not notice, a stranger's namespace."""

    def __init__(self, lab, **how):
        self.lab = lab
        self.server = lab.server(**how)
        self.neighbour = lab.client(up=True)
        self.ns = lab.net.client()
        self.worker = self.server.workers()[0]

    @contextlib.contextmanager
    def step(self, name):
        """What fails inside is said with its id; afterwards the neighbour is looked at."""
        self.lab.say(name)
        try:
            yield self.lab.syslog.mark()
            self.neighbour_lives()
        except LabError as error:
            raise LabError(f"{name}: {error}") from None

    def neighbour_lives(self):
        self.lab.expect(self.neighbour.running(), "the neighbour's call ended")
        self.lab.ping(self.neighbour.ns, self.server.local_ip, count=2)

    def control(self, greet=True):
        control = pptp.Control(self.ns, self.server.address)
        if greet:
            control.greet()
        return control

    def only_neighbour_is_left(self):
        poll(lambda: len(self.server.calls()) == 1, "only the neighbour's call is listed", 60)

    def end(self):
        self.neighbour.stop()
        self.lab.expect_clean(30)


def lines(lab, mark, word):
    return [line.text for line in lab.syslog.lines[mark:] if word in line.text]


def expect_few(lab, mark, word, most=3):
    found = lines(lab, mark, word)
    lab.expect(len(found) <= most, f"{len(found)} log lines with '{word}'")


# -- pppd ---------------------------------------------------------------------------

@scenario(datapaths=("relay",), timeout=400)
def abuse_pppd(lab):
    """P04, P06, P13, P16, P17, P24: pppd hangs or crashes, hostile names, addresses, scripts."""
    world = World(lab, options=OPTIONS, users={"alice": "wonder", "bob": "builder"})
    with world.step("P04"):
        hung_pppd(lab, world)
    with world.step("P06"):
        crashed_pppd(lab, world)
    with world.step("P13"):
        terminated_ccp(lab, world)
    with world.step("P16") as mark:
        hostile_names(lab, world, mark)
    with world.step("P17"):
        chosen_addresses(lab, world)
    with world.step("P24"):
        hanging_script(lab, world)
    world.end()


def bob(lab, world, **how):
    """A second call that is up at both ends."""
    mark = lab.syslog.mark()
    call = lab.client(world.ns, "bob", "builder", up=True, **how)
    world.server.wait_log(r'call \d+ up: .*user "bob"', 30, mark)
    return call


def pppd_of(world, before):
    """The pppd that was not there before: what it forks for a script has its name for a moment."""
    def new():
        found = set(world.server.pppds()) - set(before)
        return found if len(found) == 1 else None
    return poll(new, "one new pppd").pop()


def hung_pppd(lab, world):
    """pppd stands still, so that no signal but KILL ends it; the client goes away."""
    before = world.server.pppds()
    call = bob(lab, world)
    pid = pppd_of(world, before)
    os.kill(pid, signal.SIGSTOP)
    mark = lab.syslog.mark()
    call.kill()
    poll(lambda: processes.state(pid) == "", "the hung pppd is gone", 120)
    world.server.wait_log(rf"pppd {pid} was killed before it had ended by itself", 30, mark)
    world.only_neighbour_is_left()


def crashed_pppd(lab, world):
    before = world.server.pppds()
    call = bob(lab, world)
    mark = lab.syslog.mark()
    os.kill(pppd_of(world, before), signal.SIGSEGV)
    # pppd catches it, says so and ends with a status that means nothing else.
    world.server.wait_log(r"call \d+ ended: .*(pppd was killed by signal 11|pppd status 127)", 30, mark)
    call.wait_exit()
    world.only_neighbour_is_left()


def terminated_ccp(lab, world):
    """CCP Terminate-Request in the clear with the client's next number, as one on the path can
    send it: pppd ends the call rather than go on without encryption."""
    capture = lab.capture("srv", "eth0", "proto gre", "p13")
    call = bob(lab, world)
    client = lab.net.addresses[world.ns]
    lab.ping(call.ns, world.server.local_ip, count=2)
    entry = next(e for e in world.server.calls() if e["client"] == client)

    def numbers():
        seen = [parse_gre(frame) for _, frame in capture.packets()]
        return [p.seq for p in seen if p and p.source == client and p.seq is not None]

    mark = lab.syslog.mark()
    poll(numbers, "a frame of the client is captured")
    frame = b"\xff\x03\x80\xfd" + struct.pack("!BBH", 5, 99, 4)
    inject(world.ns, client, world.server.address, gre(entry["call"], frame, seq=max(numbers()) + 1))
    world.server.wait_log(rf"call {entry['call']} ended: ", 60, mark)
    capture.stop()
    call.wait_exit()
    world.only_neighbour_is_left()


def hostile_names(lab, world, mark):
    """Names that would be commands, formats, escapes or other lines; each is refused, and the log
    has it as one escaped word at the end of one line."""
    for name in ("bob;id|id&", "%n%s%x%p", "../../etc/passwd", "a\x1b[2Jb", "n" * 240,
                 'x" reason="ok', "$(reboot)`reboot`"):
        call = lab.client(world.ns, name, "builder")
        lab.expect(call.wait_exit() != 0, f"{name!r} was let in")
    poll(lambda: len(lines(lab, mark, " failed: client ")) >= 7, "all are logged", 60)
    for line in lab.syslog.lines[mark:]:
        if line.ident == "pptpd":
            lab.expect(line.text.isprintable(), f"not escaped: {line.text!r}")
    world.only_neighbour_is_left()


def chosen_addresses(lab, world):
    """The server's addresses, the neighbour's and any: the pool's is given instead."""
    for wish in (world.server.local_ip, world.neighbour.address, world.server.address, "10.9.9.9"):
        call = bob(lab, world, more=[f"{wish}:", "ipcp-accept-local", "ipcp-accept-remote"])
        lab.expect(call.address.startswith("192.168.1.") and call.address != world.neighbour.address,
                   f"who asks for {wish} gets {call.address}")
        call.stop()
    world.only_neighbour_is_left()


def hanging_script(lab, world):
    """/etc/ppp/ip-up never ends: the call is up all the same, and ends."""
    write("/etc/ppp/ip-up", "#!/bin/sh\nexec sleep 1000\n", 0o755)
    call = bob(lab, world)
    lab.ping(call.ns, world.server.local_ip, count=1)
    mark = lab.syslog.mark()
    call.stop()
    world.server.wait_log(r"call \d+ ended: ", 60, mark)
    world.only_neighbour_is_left()
    os.unlink("/etc/ppp/ip-up")
    for pid in processes.pids():
        if processes.title(pid) == "sleep 1000":
            os.kill(pid, signal.SIGKILL)


@scenario(datapaths=("tty",))
def abuse_no_ptys(lab):
    """P08: no pseudo-terminal is left: the call is refused with OCRP 2/4, others go on."""
    world = World(lab)
    with world.step("P08") as mark:
        limit = "/proc/sys/kernel/pty/max"
        before = open(limit).read()
        with open(limit, "w") as setting:
            setting.write(open("/proc/sys/kernel/pty/nr").read())
        try:
            with world.control() as control:
                for n in range(1, 9):
                    control.send(pptp.ocrq(n))
                    reply = control.receive(pptp.OCRP)
                    lab.expect(tuple(reply[16:18]) == (2, 4), f"result {tuple(reply[16:18])}")
        finally:
            with open(limit, "w") as setting:
                setting.write(before)
        expect_few(lab, mark, "refused: no channel")
    world.end()


# -- the machine --------------------------------------------------------------------

@scenario(datapaths=("relay",), timeout=300)
def abuse_machine(lab):
    """T11, T18, G28, R02, R03, R04, R05, R21: descriptors, memory, processes, clock, DNS, routes."""
    world = World(lab, options=OPTIONS + ECHO, users={"alice": "wonder", "bob": "builder"})
    lab.net.add_address("srv", "198.19.9.1")
    for name, function in (("R02", clock_jumps), ("T11", no_descriptors), ("R04", no_memory),
                           ("R05", no_processes), ("G28", firewalled_output), ("T18", own_address),
                           ("R03", no_dns), ("R21", vanished_address)):
        with world.step(name) as mark:
            function(lab, world, mark)
    world.end()


def clock_jumps(lab, world, _):
    """Ten years forth and back: nobody is thrown out, newcomers are served."""
    real, monotonic = time.time(), time.monotonic()
    try:
        for years in 10, -10:
            time.clock_settime(time.CLOCK_REALTIME, real + years * 365 * 86400)
            with world.control() as control:
                control.send(pptp.echorq(2))
                control.receive(pptp.ECHORP)
            world.neighbour_lives()
    finally:
        time.clock_settime(time.CLOCK_REALTIME, real + time.monotonic() - monotonic)


def no_descriptors(lab, world, mark):
    """The worker has two descriptors left: the rest waits or is closed, and gets in later."""
    numbers = sorted(processes.descriptors(world.worker))
    old = resource.prlimit(world.worker, resource.RLIMIT_NOFILE)
    resource.prlimit(world.worker, resource.RLIMIT_NOFILE, (numbers[-1] + 3, old[1]))
    held = []
    try:
        held = [world.control(greet=False) for _ in range(20)]
        world.server.wait_log(r"accept: Too many open files", 30, mark)
        world.neighbour_lives()
    finally:
        resource.prlimit(world.worker, resource.RLIMIT_NOFILE, old)
    with world.control():
        pass
    for control in held:
        control.sock.close()
    expect_few(lab, mark, "Too many open files")


def no_memory(lab, world, mark):
    """No page more for the worker: connections fail, calls do not; then all is well again."""
    size = int(next(line.split()[1] for line in processes.read(world.worker, "status").splitlines()
                    if line.startswith("VmSize"))) * 1024
    old = resource.prlimit(world.worker, resource.RLIMIT_AS)
    resource.prlimit(world.worker, resource.RLIMIT_AS, (size, old[1]))
    held = []
    try:
        with contextlib.suppress(OSError, LabError):
            for _ in range(60):
                held.append(world.control())
                held[-1].send(pptp.ocrq(len(held)))
        world.neighbour_lives()
    finally:
        resource.prlimit(world.worker, resource.RLIMIT_AS, old)
    for control in held:
        control.sock.close()
    poll(lambda: len(world.server.calls()) == 1, "only the neighbour's call is listed", 60)
    with world.control() as control:
        lab.expect(control.call(4)[2] == pptp.OCRP_OK, "no call after the shortage")
    world.only_neighbour_is_left()


def no_processes(lab, world, _):
    """No process can be made: the call that wants a pppd is told its end, others go on."""
    limit, most = "/proc/sys/kernel/threads-max", open("/proc/sys/kernel/threads-max").read()
    threads = int(open("/proc/loadavg").read().split()[3].split("/")[1])
    with world.control() as control:
        server_id, client_id, result = control.call(5)
        lab.expect(result == pptp.OCRP_OK, f"result {result}")
        try:
            with open(limit, "w") as setting:
                setting.write(str(max(20, threads)))
            frame = b"\xff\x03\xc0\x21" + struct.pack("!BBH", 1, 1, 4)
            inject(world.ns, lab.net.addresses[world.ns], world.server.address,
                   gre(server_id, frame, seq=0))
            cdn = control.receive(pptp.CDN)
        finally:
            with open(limit, "w") as setting:
                setting.write(most)
        lab.expect(tuple(cdn[14:16]) == (2, 6), f"CDN {tuple(cdn[14:16])}")
    world.only_neighbour_is_left()


def firewalled_output(lab, world, _):
    """The server's own firewall refuses its GRE (EPERM): packets are lost and counted, no call."""
    rule = ["OUTPUT", "-p", "gre", "-j", "DROP"]
    entry = world.server.calls()[0]["call"]

    def refused():
        return next(e for e in world.server.calls() if e["call"] == entry)["dropped"]["send"]

    before = refused()
    run("srv", "iptables-legacy", "-w", "-A", *rule)
    lab.ping(world.neighbour.ns, world.server.local_ip, count=2, wait=1, must=False)
    run("srv", "iptables-legacy", "-w", "-D", *rule)
    lab.expect(refused() > before, f"counted: {refused()}, before {before}")


def own_address(lab, world, _):
    """From the server's own machine, and through the tunnel: answered or closed, no loop."""
    for ns, source in ("srv", ""), (world.neighbour.ns, world.neighbour.address):
        with contextlib.suppress(OSError, LabError), \
                pptp.Control(ns, world.server.local_ip if source else world.server.address,
                             source) as control:
            control.greet()
            control.call(18)
    world.only_neighbour_is_left()


def no_dns(lab, world, _):
    """Nothing on the way of a login asks a name server."""
    write("/etc/resolv.conf", "nameserver 198.18.99.99\n")
    capture = lab.capture("srv", "any", "port 53", "dns")
    bob(lab, world).stop()
    world.only_neighbour_is_left()
    lab.expect(not capture.stop(), "the server asked a name server")


def vanished_address(lab, world, mark):
    """The address that a call came to is taken from the server: that call ends."""
    call = bob(lab, world, server="198.19.9.1")
    ip("srv", "addr del 198.19.9.1/32 dev eth0")
    world.server.wait_log(r"call \d+ ended: .*user \"bob\"", 60, mark)
    world.only_neighbour_is_left()
    call.kill()


# -- the networks on both sides ---------------------------------------------------------

@scenario(datapaths=("relay",), timeout=300)
def abuse_network(lab):
    """G30, G31, P19, R17: GRE over IPv6, the tunnel in itself, spoofed addresses inside, forged
    TCP."""
    world = World(lab, options=OPTIONS + ECHO, users={"alice": "wonder", "bob": "builder"})
    for name, function in (("G30", gre_over_ipv6), ("P19", spoofed_inside), ("R17", forged_tcp),
                           ("G31", tunnel_in_itself)):
        with world.step(name) as mark:
            function(lab, world, mark)
    world.end()


def gre_over_ipv6(lab, world, _):
    """With a call's id and its next numbers: nothing is taken, nothing answered."""
    ip("srv", "addr add fd00::1/64 dev eth0 nodad")
    ip("net", "addr add fd00::2/64 dev srv nodad")
    call = world.server.calls()[0]
    answers = lab.capture("net", "srv", "ip6 and ip6 proto 47 and src fd00::1", "g30")
    with inside("net"):
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 47)
    with raw:
        for number in range(60):
            raw.sendto(gre(call["call"], b"\xff\x03\xc0\x21" + struct.pack("!BBH", 9, 1, 8) + bytes(4),
                           seq=number), ("fd00::1", 0))
    world.neighbour_lives()
    lab.expect(not answers.stop(), "GRE over IPv6 is answered")
    after = world.server.calls()[0]["dropped"]
    lab.expect(after == call["dropped"], f"dropped: {call['dropped']}, then {after}")


def spoofed_inside(lab, world, _):
    """Packets in a call from an address that is not the call's: the kernel's rp_filter stops them
    on ppp interfaces as on others; without it they pass, as under PoPToP."""
    call = bob(lab, world)
    iface = next(e for e in world.server.calls() if e["user"] == "bob")["interface"]
    with inside("srv"):
        inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        inner.bind((world.server.local_ip, 7777))
    inner.settimeout(30)
    spoofed = struct.pack("!HHHH", 7777, 7777, 15, 0) + b"spoofed"

    def first_heard(strict):
        """Who is heard when one follows the other through the tunnel."""
        run("srv", "sysctl", "-qw", *(f"net.ipv4.conf.{name}.rp_filter={strict}"
                                      for name in ("all", iface)))
        inject(call.ns, world.neighbour.address, world.server.local_ip, spoofed, 17)
        with inside(call.ns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"own", (world.server.local_ip, 7777))
        return inner.recvfrom(100)[1][0]

    with inner:
        lab.expect(first_heard(1) == call.address, "rp_filter=1 lets a spoofed packet in")
        lab.expect(first_heard(0) == world.neighbour.address, "without rp_filter none came")
    run("srv", "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0")
    call.stop()
    world.only_neighbour_is_left()


def forged_tcp(lab, world, mark):
    """RST and SYN with numbers that are in the window or out of it leave a connection alone; RST
    with the exact number ends that one (RFC 5961) and no other."""
    capture = lab.capture("srv", "eth0", "tcp port 1723", "r17")
    call = bob(lab, world)
    client, server = lab.net.addresses[world.ns], world.server.address

    def newest():
        """Ports, next number and what was acknowledged, of the client's last segment."""
        for _, frame in reversed(capture.packets()):
            if socket.inet_ntoa(frame[26:30]) == client:
                *ports, seq, ack, offset = struct.unpack_from("!HHIIB", frame, 34)
                length = struct.unpack_from("!H", frame, 16)[0] - 20 - (offset >> 4) * 4
                return ports, seq + length, ack
        return None

    def forge(flags, number):
        ports, _, ack = newest()
        inject(world.ns, client, server, tcp_segment(client, server, ports, flags, number, ack), 6)

    poll(newest, "a segment of the client is captured")
    exact = newest()[1]
    for flags, ahead in (RST, 100), (RST, -100), (RST, 1 << 30), (SYN, 100), (RST | ACK, 8):
        forge(flags, exact + ahead)
    world.neighbour_lives()
    lab.ping(call.ns, world.server.local_ip, count=3)
    lab.expect(not world.server.find_log(r"call \d+ ended", mark), "a forged segment ended a call")
    forge(RST, exact)
    world.server.wait_log(r'call \d+ ended: .*user "bob"', 60, mark)
    capture.stop()
    call.kill()
    world.only_neighbour_is_left()


def tunnel_in_itself(lab, world, mark):
    """A client sends what is for the server's address into its own call: it is heard no more, and
    given up as silent."""
    call = bob(lab, world)
    ip(call.ns, f"route replace {world.server.address}/32 dev {call.iface}")
    world.server.wait_log(r'call \d+ ended: .*user "bob"', 120, mark)
    call.kill()
    world.only_neighbour_is_left()


class DeafLog:
    """/dev/log with room for one line, which is read until it is told to be deaf."""

    QLEN = "/proc/sys/net/unix/max_dgram_qlen"

    def __enter__(self):
        os.unlink("/dev/log")
        with open(self.QLEN) as limit:
            self.before = limit.read()
        self.set_room("1")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        self.sock.settimeout(0.1)
        self.deaf = threading.Event()
        threading.Thread(target=self.read, daemon=True).start()
        return self

    def read(self):
        while not self.deaf.is_set():
            with contextlib.suppress(TimeoutError):
                self.sock.recv(65536)

    def set_room(self, lines):
        with open(self.QLEN, "w") as limit:
            limit.write(lines)

    def __exit__(self, *_):
        self.set_room(self.before)
        self.deaf.set()
        self.sock.close()


@scenario(group="abuse", needs_build=True)
def log_blocks(lab):
    """R01: nobody reads /dev/log any more and it is full: newcomers are served, nothing waits."""
    server, ns = lab.server(start=False, datapath="auto", conf="debug\n"), lab.net.client()

    def greeted():
        with contextlib.suppress(OSError, LabError), pptp.Control(ns, server.address) as control:
            return control.greet()

    with DeafLog() as log:
        server.start(wait=False)
        poll(greeted, "the server serves")
        log.deaf.set()
        for n in range(60):
            with pptp.Control(ns, server.address) as control:
                control.greet()
                control.send(pptp.ocrq(n + 1))
                control.receive(pptp.OCRP)
        lab.expect(server.stop() == 0, "the server's exit status is not 0")


@scenario(group="abuse", needs_build=True)
def signals_again(lab):
    """R06: HUP again and again, TERM and INT twice, children dying at once: one clean end."""
    server = lab.server(datapath="auto")
    call = lab.client(up=True)
    strangers = lab.net.client()
    controls = [pptp.Control(strangers, server.address) for _ in range(6)]
    for control in controls:
        control.greet()
        server_id, _, _ = control.call()
        inject(strangers, lab.net.addresses[strangers], server.address,
               gre(server_id, b"\xff\x03\xc0\x21" + struct.pack("!BBH", 9, 1, 8) + bytes(4), seq=0))
    poll(lambda: len(server.pppds()) == 7, "all pppds run", 60)
    for _ in range(5):
        server.send_signal(signal.SIGHUP)
    for pid in server.pppds():
        if "198.18.2.1" in processes.title(pid):
            os.kill(pid, signal.SIGKILL)
    poll(lambda: len(server.pppds()) == 1, "the killed ones are reaped", 30)
    lab.ping(call.ns, server.local_ip)
    for number in signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        with contextlib.suppress(ProcessLookupError):
            server.send_signal(number)
    lab.expect(server.process.wait(60) == 0, f"status {server.process.returncode}")
    call.wait_exit()
    for control in controls:
        control.sock.close()
    lab.expect_clean(30)


@scenario(group="abuse", needs_build=True)
def many_sources(lab):
    """T10: half-open connections from twenty addresses fill all places: the oldest give way, a
    login works, a call that is up stays up."""
    server = lab.server(datapath="auto", conf="stimeout 300\nmax-half-open 256\n")
    call = lab.client(up=True)
    ns, held = lab.net.client(), []
    for n in range(1, 21):
        lab.net.add_address(ns, f"198.19.0.{n}")
        with contextlib.suppress(OSError):
            held += [pptp.Control(ns, server.address, f"198.19.0.{n}") for _ in range(16)]
    poll(lambda: not held[0].is_open(), "the oldest was closed")
    second = lab.client(up=True)
    lab.ping(second.ns, server.local_ip)
    lab.ping(call.ns, server.local_ip)
    for control in held:
        control.sock.close()
    second.stop()
    call.stop()
    lab.expect_clean()

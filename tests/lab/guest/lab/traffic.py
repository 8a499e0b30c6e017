"""Traffic between namespaces, and a look at what passes."""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

from . import processes
from .errors import LabError
from .logs import ProgramLog
from .namespaces import inside, popen, run

CHUNK = 65536


# -- checked transfers ----------------------------------------------------------

def send_all(sock, size):
    """Sends size bytes no two chunks of which are alike; returns their digest."""
    digest, seed, sent = hashlib.sha256(), os.urandom(CHUNK), 0
    while sent < size:
        chunk = (struct.pack("!Q", sent) + seed)[:min(CHUNK, size - sent)]
        digest.update(chunk)
        sock.sendall(chunk)
        sent += len(chunk)
    return digest.hexdigest()


def receive_all(sock, size):
    digest, received = hashlib.sha256(), 0
    while received < size:
        data = sock.recv(min(CHUNK, size - received))
        if not data:
            raise LabError(f"connection ended after {received} of {size} bytes")
        digest.update(data)
        received += len(data)
    return digest.hexdigest()


@dataclasses.dataclass
class Transfer:
    up: float       # Mbit/s
    down: float


def listen_on(ns, address):
    """A listening socket; waits for the address: the far end of a call may have its own later."""
    made = []

    def bound():
        with inside(ns), contextlib.suppress(OSError):
            made.append(socket.create_server((address, 0)))
        return made

    processes.poll(bound, f"{ns} has the address {address}", 30)
    return made[0]


def transfer(ns_from, ns_to, address, size, timeout=120):
    """TCP from one namespace to an address of the other: size bytes there, then size bytes
    back, each way with a checksum. Fails unless both arrive whole."""
    listener = listen_on(ns_to, address)
    listener.settimeout(timeout)
    far = {}

    def serve():
        try:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(timeout)
                far["received"] = receive_all(sock, size)
                sock.sendall(b"k")
                far["sent"] = send_all(sock, size)
                sock.recv(1)
        except (OSError, LabError) as error:
            far["error"] = error

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        with inside(ns_from):
            sock = socket.socket()
        with sock, listener:
            sock.settimeout(timeout)
            sock.connect(listener.getsockname())
            t0 = time.monotonic()
            sent = send_all(sock, size)
            receive_all(sock, 1)
            t1 = time.monotonic()
            received = receive_all(sock, size)
            t2 = time.monotonic()
    except OSError as error:
        raise LabError(f"transfer {ns_from} -> {address}: {error}; far end: "
                       f"{far.get('error', 'nothing wrong')}") from None
    thread.join(timeout)
    if far.get("received") != sent or far.get("sent") != received:
        raise LabError(f"transfer {ns_from} -> {address}: checksum differs, or {far.get('error')}")
    return Transfer(size * 8e-6 / (t1 - t0), size * 8e-6 / (t2 - t1))


# -- ping and iperf3 --------------------------------------------------------------

@dataclasses.dataclass
class Ping:
    sent: int
    received: int
    rtt: list       # ms

    @property
    def loss(self):
        """Percent."""
        return 100.0 * (self.sent - self.received) / self.sent


def ping(ns, address, count=3, interval=0.1, size=56, wait=5, must=True, dont_fragment=False,
         iface=None):
    """must: fails when none came back; with a count of 1 it asks until one does, since pppd at the
    other end may not be ready yet. iface: through this one, if several lead there."""
    patience = ["-w", "60"] if must and count == 1 else ["-W", str(wait)]
    command = ["ping", "-n", "-c", str(count), "-i", str(interval), "-s", str(size), *patience,
               *(["-M", "do"] if dont_fragment else []),
               *(["-I", iface] if iface else []), address]
    out = run(ns, *command, check=False, timeout=60 + count * interval + wait).stdout
    found = re.search(r"(\d+) packets transmitted, (\d+) received", out)
    if not found:
        raise LabError(f"ping {address} in {ns}: {out.strip()[-200:]}")
    result = Ping(int(found.group(1)), int(found.group(2)),
                  [float(ms) for ms in re.findall(r"time=([\d.]+) ms", out)])
    if must and not result.received:
        raise LabError(f"ping {address} in {ns}: nothing came back")
    return result


def iperf3(ns_from, ns_to, address, seconds=5, reverse=False, udp_mbit=None, more=()):
    """Mbit/s as the receiver counted it. reverse: ns_to sends."""
    listen_on(ns_to, address).close()
    server = popen(ns_to, ["iperf3", "-s", "-1", "-B", address],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        processes.poll(lambda: processes.listens(server.pid, 5201), "iperf3 listens")
        command = ["iperf3", "-c", address, "-t", str(seconds), "-J", *more]
        command += ["-R"] if reverse else []
        command += ["-u", "-b", f"{udp_mbit}M"] if udp_mbit else []
        out = run(ns_from, *command, check=False, timeout=seconds + 120).stdout
        report = json.loads(out)
        if "error" in report:
            raise LabError(f"iperf3 {ns_from} -> {address}: {report['error']}")
        end = report["end"]
        return end.get("sum_received", end.get("sum"))["bits_per_second"] / 1e6
    finally:
        server.kill()
        server.wait()


# -- what is on the wire ----------------------------------------------------------

class Capture:
    """tcpdump on an interface from start to stop(); packets() then has what it saw."""

    def __init__(self, lab, ns, iface="eth0", expression="", name="capture"):
        self.path = lab.file(f"{name}-{ns}-{iface}.pcap")
        self.process = popen(ns, ["tcpdump", "-i", iface, "-n", "-p", "-U", "-Z", "root",
                                  "--immediate-mode", "-B", "16384",
                                  # Slots of 64 kB: of longer ones there would be a quarter.
                                  "-s", "65000", "-w", self.path, *expression.split()],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.log = ProgramLog(lab.file(f"{name}-{ns}-{iface}.log"), self.process, "tcpdump")
        self.log.wait("listening on")

    def stop(self):
        """Ends it; returns the packets."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        return self.packets()

    def packets(self):
        """[(time, bytes from the link-level header on)]"""
        with open(self.path, "rb") as handle:
            data = handle.read()
        found, at = [], 24
        while at + 16 <= len(data):
            seconds, micros, length, _ = struct.unpack_from("=IIII", data, at)
            found.append((seconds + micros / 1e6, data[at + 16:at + 16 + length]))
            at += 16 + length
        return found


# -- TCP by hand ------------------------------------------------------------------

def checksum(data):
    """Of the internet protocols; data of even length."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


SYN, RST, ACK = 2, 4, 16


def tcp_segment(source, destination, ports, flags, seq, ack=0, window=1024):
    """A segment without data; ports: (source, destination)."""
    head = struct.pack("!HHIIBBHHH", *ports, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags, window,
                       0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", 6, len(head))
    return head[:16] + struct.pack("!H", checksum(pseudo + head)) + head[18:]


# -- GRE by hand ------------------------------------------------------------------

def gre(call_id, payload=b"", seq=None, ack=None):
    """An enhanced GRE packet (RFC 2637) for the receiver's call id."""
    flags = 0x2001 | (0x1000 if seq is not None else 0) | (0x0080 if ack is not None else 0)
    packet = struct.pack("!HHHH", flags, 0x880B, len(payload), call_id)
    if seq is not None:
        packet += struct.pack("!I", seq & 0xFFFFFFFF)
    if ack is not None:
        packet += struct.pack("!I", ack & 0xFFFFFFFF)
    return packet + payload


@dataclasses.dataclass
class Gre:
    """A captured GRE packet, taken apart."""
    source: str
    destination: str
    call_id: int
    seq: int | None
    ack: int | None
    payload: bytes


def parse_gre(frame):
    """Of an Ethernet frame; None when it is something else (or a later fragment, or cut short)."""
    if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != 47:
        return None
    if struct.unpack_from("!H", frame, 20)[0] & 0x1FFF:
        return None
    at = 14 + (frame[14] & 15) * 4
    flags, protocol, length, call_id = struct.unpack_from("!HHHH", frame, at)
    numbers = 4 * bool(flags & 0x1000) + 4 * bool(flags & 0x0080)
    if protocol != 0x880B or len(frame) < at + 8 + numbers:
        return None
    at, seq, ack = at + 8, None, None
    if flags & 0x1000:
        (seq,), at = struct.unpack_from("!I", frame, at), at + 4
    if flags & 0x0080:
        (ack,), at = struct.unpack_from("!I", frame, at), at + 4
    return Gre(socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34]),
               call_id, seq, ack, frame[at:at + length])


def inject(ns, source, destination, packet, protocol=47):
    """Sends an IP packet with any source address from a namespace, or from here."""
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(packet), 0, 0, 64, protocol, 0,
                         socket.inet_aton(source), socket.inet_aton(destination))
    with inside(ns) if ns else contextlib.nullcontext():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw:
        raw.sendto(header + packet, (destination, 0))

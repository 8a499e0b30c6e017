"""What strangers may send: into a running call, and to TCP 1723."""

import os
import random
import signal
import socket
import struct

from lab import (DATAPATHS, LabError, checksum, gre, inject, inside, parse_gre, poll, pptp, scenario)

OURS = ("relay", "tty")     # on the kernel's own path nobody looks into the frames
MARKED_PORT = 7777
FLAG = b"\xff\x03"
PLAIN_PROTOCOLS = (FLAG + b"\x00\x21", b"\x00\x21", b"\x21", FLAG + b"\x00\x57")


def ip_packet(source, destination, protocol, payload, identifier=0, offset=0, more=False):
    """With a right checksum; offset: of a fragment, in bytes."""
    def header(check):
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), identifier,
                           (0x2000 if more else 0) | offset // 8, 64, protocol, check,
                           socket.inet_aton(source), socket.inet_aton(destination))
    return header(checksum(header(0))) + payload


def marked(source, destination):
    """A UDP packet that the captures below look for."""
    return ip_packet(source, destination, 17,
                     struct.pack("!HHHH", MARKED_PORT, MARKED_PORT, 14, 0) + b"marked")


class Target:
    """A running call as somebody sees it who reads along."""

    def __init__(self, lab, server, call):
        self.lab, self.server, self.call = lab, server, call
        self.address = lab.net.addresses[call.ns]
        self.capture = lab.capture("srv", "eth0", "proto gre", "gre")
        # Something to count on from: the number of the client's newest frame.
        self.ping(3, "before all attacks")
        poll(self.numbers, "a frame of the client is captured")

    def entry(self):
        found, = self.server.calls()
        return found

    def numbers(self):
        seen = [parse_gre(frame) for _, frame in self.capture.packets()]
        return [p.seq for p in seen if p and p.source == self.address and p.seq is not None]

    def next_count(self):
        """Of MPPE."""
        seen = [parse_gre(frame) for _, frame in self.capture.packets()]
        newest = max((p for p in seen if p and p.source == self.address and
                      p.payload[2:4] == b"\x00\xfd"), key=lambda p: p.seq)
        return (struct.unpack_from("!H", newest.payload, 4)[0] + 1) & 0xFFF

    def next_number(self):
        return max(self.numbers()) + 1

    def inject(self, payload, seq, source=None, call_id=None, ack=None):
        inject(self.call.ns, source or self.address, self.server.address,
               gre(call_id or self.entry()["call"], payload, seq=seq, ack=ack))

    def still_works(self, what):
        """Forged frames that were taken cost the client as many of its own; then all is well."""
        lab, call = self.lab, self.call
        self.ping(20, f"after {what}", must=False)
        received = self.ping(5, f"after {what}").received
        lab.expect(received == 5, f"after {what}: {received} of 5 pings come back")
        lab.expect(call.running(), f"after {what}: the call ended")

    def ping(self, count, when, must=True):
        result = self.lab.ping(self.call.ns, self.server.local_ip, count=count, interval=0.02,
                               must=False)
        if must and not result.received:
            raise LabError(f"{when}: no ping comes back; dropped: {self.entry()['dropped']}")
        return result


def seen_inside(lab):
    """A capture of marked packets on whatever interface of the server, ppp too."""
    return lab.capture("srv", "any", f"udp port {MARKED_PORT}", "inside")


def send_marked(call, server):
    """One through the call, as the client sends it."""
    with inside(call.ns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"marked", (server.local_ip, MARKED_PORT))


@scenario(group="attack", datapaths=OURS)
def plaintext(lab):
    """Plain IP in GRE, before and after encryption is up, reaches no interface; it is counted."""
    server = lab.server()
    before_encryption(lab, server)
    call = lab.client(up=True)
    target, inner = Target(lab, server, call), seen_inside(lab)
    frames = [start + marked(call.address, server.local_ip) for start in PLAIN_PROTOCOLS]
    first = target.next_number()
    for number, frame in enumerate(frames, first):
        target.inject(frame, number)
    poll(lambda: target.entry()["dropped"]["plaintext"] == len(frames), "all are counted")
    target.still_works("plaintext")
    lab.expect(not inner.packets(), f"{len(inner.packets())} plain packets were delivered")
    send_marked(call, server)
    poll(inner.packets, "what the client sends encrypted is captured inside")
    lab.expect(len(inner.stop()) == 1, "more than the client's one packet was delivered")
    call.stop()
    lab.expect_clean()


def before_encryption(lab, server):
    """A call whose client says nothing but plain IP from its first frame on."""
    ns, inner = lab.net.client(), seen_inside(lab)
    with pptp.Control(ns, server.address) as control:
        control.greet()
        call_id = control.call()[0]
        packet = FLAG + b"\x00\x21" + marked("192.168.1.1", server.local_ip)
        inject(ns, lab.net.addresses[ns], server.address, gre(call_id, packet, seq=0))
        server.wait_log(r"pppd.*Using interface")
        inject(ns, lab.net.addresses[ns], server.address, gre(call_id, packet, seq=1))
        poll(lambda: server.calls()[0]["dropped"]["plaintext"] == 2, "both are counted")
    server.wait_log(r"call \d+ failed: client " + lab.net.addresses[ns])
    lab.expect(not inner.stop(), "plain packets were delivered before encryption")
    lab.expect_clean()


@scenario(group="attack", datapaths=OURS)
def plaintext_after_death(lab):
    """The worker that follows one that died knows that the call is encrypted."""
    server = lab.server()
    call = lab.client(up=True)
    target, inner = Target(lab, server, call), seen_inside(lab)
    worker, = server.workers()
    os.kill(worker, signal.SIGKILL)
    server.wait_log(r"worker \d+ goes on with 1 calls")
    frames = [start + marked(call.address, server.local_ip) for start in PLAIN_PROTOCOLS]
    for number, frame in enumerate(frames, target.next_number()):
        target.inject(frame, number)
    poll(lambda: target.entry()["dropped"]["plaintext"] == len(frames), "all are counted")
    target.still_works("plaintext")
    lab.expect(not inner.stop(), "plain packets were delivered")
    call.stop()
    server.stop()
    lab.expect_clean()


@scenario(group="attack", datapaths=OURS)
def far_ahead(lab):
    """Single frames with numbers far ahead, or with wrong MPPE counts, do not stop the call."""
    server = lab.server()
    call = lab.client(up=True)
    target = Target(lab, server, call)
    noise = random.Random(1)
    for ahead in 1_000_000, 5000, 300, 0x7FFFFFFF, 0x80000001:
        frame = FLAG + b"\x00\xfd\x9f\xff" + noise.randbytes(80)
        target.inject(frame, target.next_number() + ahead)
        target.still_works(f"a number {ahead} ahead")
    lab.expect(target.entry()["dropped"]["far"] >= 3, f"counted: {target.entry()['dropped']}")
    # The right number, and a count that would make all of the client's frames late.
    for count in 0x0FFF, 0x0800, 0x0000:
        frame = FLAG + struct.pack("!HH", 0xFD, 0x9000 | count) + noise.randbytes(80)
        target.inject(frame, target.next_number())
        target.still_works(f"MPPE count {count}")
    call.stop()
    lab.expect_clean()


@scenario(group="attack", datapaths=OURS)
def short_frames(lab):
    """Frames that are shorter than the kernel's L2TP wants them reach pppd and do not end the call."""
    server = lab.server(debug=True)
    call = lab.client(up=True)
    target = Target(lab, server, call)
    before = target.entry()
    # CCP Reset-Ack, which nobody asked for, without ff 03.
    target.inject(b"\x80\xfd" + struct.pack("!BBH", 15, 77, 4), target.next_number())
    server.wait_log(r"rcvd \[CCP ResetAck id=0x4d")
    stays(target, before, "a short frame of CCP")
    target.inject(b"\xfd" + struct.pack("!H", 0x9000 | target.next_count()) + b"\x00\x00",
                  target.next_number())
    stays(target, before, "a short encrypted frame")
    # One encrypted byte that decrypts to 0 may stop the kernel: it gets none.
    target.inject(b"\xfd" + struct.pack("!H", 0x9000 | target.next_count()) + b"\x00",
                  target.next_number())
    poll(lambda: target.entry()["dropped"]["short"] > 0, "a single encrypted byte is dropped")
    stays(target, before, "a single encrypted byte")
    call.stop()
    lab.expect_clean()


def stays(target, before, what):
    """For longer than the launcher waits for the end of a call whose session is gone."""
    lab = target.lab
    lab.ping(target.call.ns, target.server.local_ip, count=30, must=False)
    lab.expect(not target.server.find_log("session was deleted"),
               f"after {what}: the call's session is taken for deleted")
    target.still_works(what)
    lab.expect(target.entry()["call"] == before["call"], f"after {what}: another call")


@scenario(group="attack", datapaths=DATAPATHS)
def stray_gre(lab):
    """Spoofed sources, wrong call ids, garbage, fragments, ICMP: a call goes on."""
    server = lab.server()
    call = lab.client(up=True)
    target = Target(lab, server, call)
    frame = FLAG + b"\x00\xfd\x90\x00" + bytes(80)
    number = target.next_number()
    for source in "198.18.0.77", "198.18.99.1", server.address:
        target.inject(frame, number, source=source)
        target.inject(frame, number + 1000, source=source, ack=0x7FFFFFFF)
    target.still_works("spoofed sources")
    own_id = target.entry()["call"]
    for call_id in 1, own_id ^ 1, own_id ^ 0x8000, 65535:
        target.inject(frame, target.next_number(), call_id=call_id)
    target.still_works("wrong call ids")
    target.inject(b"", None, ack=target.next_number() + 100_000)
    target.still_works("an impossible ack")
    garbage(lab, target)
    target.still_works("garbage")
    fragments(target)
    target.still_works("large and lonely fragments")
    unreachable(target)
    target.still_works("ICMP unreachable")
    call.stop()
    lab.expect_clean()


def garbage(lab, target):
    """GRE that is none of ours, or is cut short; nothing of it has the next number."""
    noise, own_id = random.Random(2), target.entry()["call"]
    head = struct.pack("!HHHHI", 0x3001, 0x880B, 60, own_id, 0xFFFFFFF0)
    packets = [head[:size] for size in range(len(head))]
    packets += [head, head + bytes(59), struct.pack("!HH", 0, 0x0800) + bytes(40),
                struct.pack("!HHHH", 0x3001, 0x880B, 0xFFFF, own_id) + bytes(60),
                struct.pack("!HHHH", 0xFFFF, 0x880B, 60, own_id) + bytes(60)]
    packets += [noise.randbytes(noise.randrange(1, 1400)) for _ in range(100)]
    for packet in packets:
        inject(target.call.ns, target.address, target.server.address, packet)


def fragments(target):
    """GRE packets of 3000 and 60000 bytes, and a first fragment alone."""
    for identifier, size, all_of_it in (7, 3000, True), (8, 60000, True), (9, 3000, False):
        packet = gre(target.entry()["call"], FLAG + b"\x00\xfd\x90\x00" + bytes(size),
                     seq=target.next_number())
        step = 1400
        for at in range(0, len(packet) if all_of_it else step, step):
            send_ip(target.call.ns, ip_packet(
                target.address, target.server.address, 47, packet[at:at + step], identifier, at,
                more=at + step < len(packet)))


def unreachable(target):
    """Host, protocol, port unreachable and too large, about what the server sent."""
    about = ip_packet(target.server.address, target.address, 47,
                      gre(target.entry()["peer_call"], b"", seq=0))
    for code, word in (1, 0), (2, 0), (3, 0), (4, 68), (13, 0):
        body = struct.pack("!HH", 0, word) + about[:28]
        body = struct.pack("!BBH", 3, code, checksum(struct.pack("!BBH", 3, code, 0) + body)) + body
        send_ip(target.call.ns, ip_packet(target.address, target.server.address, 1, body))


def send_ip(ns, packet):
    with inside(ns):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw:
        raw.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))


# -- TCP 1723 ---------------------------------------------------------------------

PATIENT = "stimeout 300\n"


@scenario(group="attack", needs_build=True)
def silent_tcp(lab):
    """Ten connections that say nothing, or half a message, do not keep others from a login."""
    server = lab.server(datapath="auto", conf=PATIENT)
    attacker = lab.net.client()
    silent = [pptp.Control(attacker, server.address) for _ in range(10)]
    silent[0].send(pptp.sccrq()[:100])
    call = lab.client(up=True)
    closed = [c.port for c in silent if not c.is_open()]
    lab.expect(not closed, f"closed before the login was done: {closed}")
    lab.ping(call.ns, server.local_ip)
    for control in silent:
        control.sock.close()
    call.stop()
    lab.expect_clean()


@scenario(group="attack", needs_build=True)
def garbage_tcp(lab):
    """What is not PPTP is closed without a word; split and pipelined messages are PPTP."""
    server = lab.server(datapath="auto")
    call = lab.client(up=True)
    ns, noise, good = lab.net.client(), random.Random(3), pptp.sccrq()
    for what in (b"GET / HTTP/1.1\r\nHost: vpn\r\n\r\n", noise.randbytes(500), bytes(156),
                 b"\xff\xff" + good[2:], good[:4] + b"\x1a\x2b\x3c\x4e" + good[8:],
                 pptp.message(99, bytes(8)), pptp.echorq(1)):
        with pptp.Control(ns, server.address) as control:
            control.send(what)
            said = control.wait_closed()
            lab.expect(said == b"", f"{what[:12]} is answered: {said}")
    one_byte_at_a_time(ns, server)
    pipelined(lab, ns, server)
    lab.expect(lab.ping(call.ns, server.local_ip).received == 3, "the call suffers")
    call.stop()
    lab.expect_clean()


def one_byte_at_a_time(ns, server):
    with pptp.Control(ns, server.address) as control:
        for byte in pptp.sccrq():
            control.send(bytes([byte]))
        control.receive(pptp.SCCRP)


def pipelined(lab, ns, server):
    """Two requests in one segment, two answers in one each."""
    capture = lab.capture(ns, "eth0", "tcp src port 1723")
    with pptp.Control(ns, server.address) as control:
        control.send(pptp.sccrq() + pptp.ocrq(17))
        control.receive(pptp.SCCRP)
        server_id, client_id, result = pptp.ocrp(control.receive())
        lab.expect((client_id, result) == (17, pptp.OCRP_OK), f"call {client_id}: {result}")
        control.send(pptp.ccr(17))
        control.receive(pptp.CDN)
        poll(lambda: len(pptp.segments(capture.packets())) >= 3, "all answers are captured")
    kinds = [pptp.kind(segment) for segment in pptp.segments(capture.stop())]
    lab.expect(kinds[:2] == [pptp.SCCRP, pptp.OCRP], f"first messages of segments: {kinds}")


@scenario(group="attack", needs_build=True, timeout=240)
def many_connections(lab):
    """300 connections are open, most of them half, and a login works beside them."""
    server = lab.server(datapath="auto", conf=PATIENT)
    ns, held, talkers = lab.net.client(), [], []
    for number in range(3):
        lab.net.add_address(ns, f"198.19.0.{number + 1}")
        held += [pptp.Control(ns, server.address, f"198.19.0.{number + 1}") for _ in range(60)]
    for _ in range(120):
        talkers.append(pptp.Control(ns, server.address))
        talkers[-1].greet()
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    closed = sum(not control.is_open() for control in held)
    lab.expect(not closed, f"{closed} of {len(held)} were closed before the login was done")
    for control in held + talkers:
        control.sock.close()
    lab.ping(call.ns, server.local_ip)
    call.stop()
    lab.expect_clean()


@scenario(group="attack", needs_build=True)
def too_many_from_one(lab):
    """One address cannot hold all half-open places: its oldest ones go, others are not
    concerned."""
    server = lab.server(datapath="auto", conf=PATIENT + "max-half-open-per-source 64\n")
    ns = lab.net.client()
    held = [pptp.Control(ns, server.address) for _ in range(80)]
    poll(lambda: sum(not control.is_open() for control in held) == 80 - 64,
         "those above 64 are closed")
    call = lab.client(up=True)
    for control in held:
        control.sock.close()
    lab.ping(call.ns, server.local_ip)
    call.stop()
    lab.expect_clean()

"""G01 to G30: what can be done with IP protocol 47. What must be dropped is an LCP Echo-Request
that the server's pppd would answer; a proper one behind it shows that the call goes on."""

import random
import select
import socket
import struct

from lab import checksum, pptp

from .case import case, expect
from .target import ECHO_REP, LCP, flood_of

FAR = 1_000_000


def dropped(call, make, what):
    """make(frame): a packet that must not be taken, sent three times."""
    for _ in range(3):
        frame, answered = call.forged()
        call.send_packet(make(frame))
        expect(not answered(call.echo()), f"{what} is taken")


def packet(call, frame, flags=0x3001, protocol=0x880B, length=None, seq=None):
    """As call.packet(), but with any header."""
    length = len(frame) if length is None else length
    return struct.pack("!HHHHI", flags, protocol, length, call.server_id,
                       call.seq if seq is None else seq) + frame


@case("G01")
def g01(target):
    """packets cut short anywhere, and with IP options: dropped"""
    with target.talking() as call:
        whole = call.packet(call.forged()[0], call.seq)
        for size in [*range(0, 17), len(whole) - 1]:
            call.send_packet(whole[:size])
        call.echo()
        for words in 1, 10:
            options = b"\x01" * 3 + b"\0" + b"\0" * (4 * words - 4)
            body = whole[:6]
            header = struct.pack("!BBHHHBBH4s4s", 0x45 + words, 0, 20 + 4 * words + len(body), 0, 0, 64,
                                 47, 0, socket.inet_aton(target.local),
                                 socket.inet_aton(call.server)) + options
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
                raw.sendto(header + body, (call.server, 0))
        call.echo()


@case("G02")
def g02(target):
    """GRE versions 0 and 2 to 7, transparent bridging, WCCP: dropped"""
    with target.talking() as call:
        for version in 0, 2, 3, 4, 5, 6, 7:
            dropped(call, lambda f: packet(call, f, 0x3000 | version), f"version {version}")
        for protocol in 0x0800, 0x6558, 0x883E:
            call.send_packet(struct.pack("!HH", 0, protocol) + bytes(60))
        call.echo()


@case("G03")
def g03(target):
    """checksum, routing, strict route, recursion, flags; no key: dropped"""
    with target.talking() as call:
        for bit in 0x8000, 0x4000, 0x0800, 0x0400, 0x0100, 0x0040, 0x0008:
            dropped(call, lambda f: packet(call, f, 0x3001 | bit), f"flag {bit:#06x}")
        dropped(call, lambda f: packet(call, f, 0x1001), "no key")


@case("G04")
def g04(target):
    """protocol other than 0x880B: dropped"""
    with target.talking() as call:
        for protocol in 0x0800, 0x880A, 0x880C, 0x0B88, 0:
            dropped(call, lambda f: packet(call, f, protocol=protocol), f"protocol {protocol:#x}")


@case("G05")
def g05(target):
    """cut before the number, or before the acknowledgment: dropped"""
    with target.talking() as call:
        head = struct.pack("!HHHH", 0x3081, 0x880B, 0, call.server_id)
        for size in range(0, 8):
            call.send_packet(head + bytes(size))
        call.send_packet(struct.pack("!HHHH", 0x2081, 0x880B, 0, call.server_id) + bytes(3))
        call.echo()


@case("G06")
def g06(target):
    """payload length beyond the packet: dropped"""
    with target.talking() as call:
        for more in 1, 100, 65535:
            dropped(call, lambda f: packet(call, f, length=min(len(f) + more, 65535)), f"{more} more")


@case("G07")
def g07(target):
    """payload length below what is there: what is beyond it is cut off"""
    with target.talking() as call:
        frame, answered = call.forged()
        number, call.seq = call.seq, call.seq + 1
        call.send_packet(packet(call, frame + bytes(40), length=len(frame), seq=number))
        expect(answered(call.echo()) == 1, "a padded packet is dropped")


@case("G08")
def g08(target):
    """datagrams of 3000 to 65 000 bytes: dropped, the call goes on"""
    with target.talking() as call:
        for size in 3000, 9000, 60000, 65000:
            call.send_packet(call.packet(b"\xff\x03\x00\xfd" + b"\x7e" * size, call.seq))
        call.echo()


@case("G09")
def g09(target):
    """number without payload, payload without number: ignored"""
    with target.talking() as call:
        call.send_packet(call.packet(b"", call.seq))
        frame, answered = call.forged()
        call.send_packet(struct.pack("!HHHH", 0x2001, 0x880B, len(frame), call.server_id) + frame)
        expect(not answered(call.echo()), "payload without a number is taken")


@case("G10")
def g10(target):
    """unknown call ids: no answer, no ICMP"""
    with target.talking() as call, \
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as icmp:
        icmp.bind((target.local, 0))
        frame, answered = call.forged()
        for call_id in 0, 1, call.server_id ^ 1, call.server_id ^ 0x8000, 65535:
            call.send_packet(struct.pack("!HHHHI", 0x3001, 0x880B, len(frame), call_id, call.seq) + frame)
        expect(not answered(call.echo()), "a frame for another id is taken")
        while select.select([icmp], [], [], 0)[0]:
            data = icmp.recv(2048)
            at = (data[0] & 15) * 4
            expect(data[at] != 3 or data[at + 17:at + 18] != b"\x2f", "ICMP unreachable for GRE")


@case("G11")
def g11(target):
    """right call id from another address: dropped"""
    other = target.need("other")
    with target.talking() as call:
        frame, answered = call.forged()
        for number in call.seq, call.seq + 1, call.seq + FAR:
            target.raw(call.packet(frame, number), other)
        expect(not answered(call.echo()), "a frame from another address is taken")


def after_silence(call):
    """What came in a second without a word of ours, in which what is held back may be given up
    for lost, and before the answer to an echo then."""
    seen = []
    while (got := call.ppp(1)) is not None:
        seen.append(got[:2] + got[3:])
    return seen + call.echo()


@case("G12")
def g12(target):
    """single numbers far ahead: the call goes on with its own"""
    with target.talking() as call:
        for ahead in FAR, 5000, 0x7FFFFFFF:
            frame, answered = call.forged()
            call.send(frame, seq=call.seq + ahead & 0xFFFFFFFF)
            expect(not answered(after_silence(call)), f"a number {ahead} ahead is taken")


@case("G13")
def g13(target):
    """numbers 2^31 ahead, one more, one less: dropped, the call goes on"""
    with target.talking() as call:
        for ahead in 0x80000000, 0x80000001, 0x7FFFFFFF:
            frame, answered = call.forged()
            call.send(frame, seq=call.seq + ahead & 0xFFFFFFFF)
            expect(not answered(after_silence(call)), f"a number {ahead:#x} ahead is taken")


@case("G14")
def g14(target):
    """numbers wrap from 0xffffffff to 0: the call goes on"""
    with target.talking(first=0xFFFFFFF0) as call:
        for _ in range(24):
            call.echo()
        expect(call.seq < 0x1000, f"the number is {call.seq:#x}")


@case("G15")
def g15(target):
    """a packet again, at once and later: dropped"""
    with target.talking() as call:
        frame, answered = call.forged()
        number = call.seq
        call.send(frame)
        call.send(frame, seq=number)
        count = answered(call.echo())
        call.send(frame, seq=number)
        count += answered(call.echo())
        expect(count == 1, f"one packet was taken {count} times")


@case("G16")
def g16(target):
    """number 1, 0 and 2 again and again: late, dropped"""
    with target.talking() as call:
        while call.seq < 8:
            call.echo()
        for number in 1, 0, 2, 1, 1:
            frame, answered = call.forged()
            call.send(frame, seq=number)
            expect(not answered(call.echo()), f"number {number} is taken again")


@case("G17")
def g17(target):
    """hundreds of numbers ahead while the next one is missing: bounded, the call goes on"""
    with target.talking() as call:
        missing = call.seq
        call.seq += 1
        for _ in range(400):
            call.send(call.frame(LCP, ECHO_REP, 1, bytes(400)))
        call.send(call.frame(LCP, ECHO_REP, 1, bytes(4)), seq=missing)
        call.echo()


@case("G18")
def g18(target):
    """a packet that waits for its turn, twice: taken once"""
    with target.talking() as call:
        missing, call.seq = call.seq, call.seq + 1
        frame, answered = call.forged()
        number = call.seq
        call.send(frame)
        call.send(frame, seq=number)
        call.send(call.frame(LCP, ECHO_REP, 1, bytes(4)), seq=missing)
        expect(answered(call.echo()) == 1, "it was not taken once")


@case("G19")
def g19(target):
    """acknowledgments of what was never sent, 0, 0xffffffff, backwards: payload is taken"""
    with target.talking(ack="never") as call:
        for ack in 0xFFFFFFFF, 0, 0x7FFFFFFF, 1_000_000, 2, 1, 0:
            frame, answered = call.forged()
            call.send(frame, ack=ack)
            expect(answered(call.echo()) == 1, f"payload with ack {ack:#x} is dropped")


@case("G20")
def g20(target):
    """20 000 lone acknowledgments: none is answered, the call goes on"""
    with target.talking() as call:
        call.echo()
        # Whatever of the server is on its way comes now.
        while call.receive(0.3):
            pass
        before = len(call.packets)
        for n in range(20_000):
            call.lone_ack(n & 0xFFFFFFFF)
        while call.receive(0.3):
            pass
        extra = [p for p, _ in call.packets[before:] if p.seq is None]
        expect(len(extra) <= 2, f"{len(extra)} acknowledgments of acknowledgments")
        call.echo()


@case("G21")
def g21(target):
    """a client that never acknowledges: it is sent to all the same"""
    with target.talking(ack="never") as call:
        for _ in range(100):
            call.echo()


@case("G22")
def g22(target):
    """data flood in a call: never blocks, others are served"""
    with target.talking() as call:
        block = call.frame(LCP, ECHO_REP, 1, bytes(1000))
        with flood_of(lambda: call.send(block)):
            for _ in range(3):
                target.expect_answers("beside a data flood")
        call.echo()


@case("G23")
def g23(target):
    """flood of frames for unknown calls from any source: others are served"""
    spare = target.need("spare")
    with target.talking() as call:
        def forged():
            target.raw(struct.pack("!HHHHI", 0x3001, 0x880B, 64, random.getrandbits(16), 0) + bytes(64),
                       spare)
        with flood_of(forged):
            for _ in range(3):
                target.expect_answers("beside a flood of strangers' GRE")
            call.echo()


def fragment(target, call, identifier, offset, size, more):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + size, identifier,
                         (0x2000 if more else 0) | offset // 8, 64, 47, 0,
                         socket.inet_aton(target.local), socket.inet_aton(call.server))
    body = call.packet(bytes(size), call.seq)[:size]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(header + body, (call.server, 0))


@case("G24")
def g24(target):
    """fragments alone, overlapping, never completed: the call goes on"""
    with target.talking() as call:
        for n in range(1, 300):
            fragment(target, call, n, 0, 1200, True)
            if n % 3 == 0:
                fragment(target, call, n, 800, 1200, n % 2 == 0)
        call.echo()


@case("G25")
def g25(target):
    """right call id to another address of the server: dropped"""
    alias = target.need("alias")
    with target.talking() as call:
        frame, answered = call.forged()
        for number in call.seq, call.seq + 1:
            target.raw(call.packet(frame, number), server=alias)
        expect(not answered(call.echo()), "a frame to another address is taken")


@case("G26")
def g26(target):
    """GRE before there is a call, and after CDN: dropped"""
    with target.talking() as call:
        call.clear()
        while call.receive(1):
            pass
        frame, answered = call.forged()
        call.send(frame)
        found = call.receive(1)
        expect(not found, f"GRE after CDN is answered: {found}")
        call.control.send(pptp.echorq(26))
        call.control.receive(pptp.ECHORP)


@case("G27")
def g27(target):
    """ICMP unreachable and too-large about the server's packets: the call goes on"""
    with target.talking() as call:
        inner = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 47, 0,
                            socket.inet_aton(call.server), socket.inet_aton(target.local))
        inner += struct.pack("!HHHH", 0x3001, 0x880B, 0, call.client_id)
        for code, word in (0, 0), (1, 0), (2, 0), (3, 0), (4, 68), (4, 0), (13, 0):
            body = struct.pack("!HH", 0, word) + inner
            data = struct.pack("!BBH", 3, code, 0) + body
            target.raw(data[:2] + struct.pack("!H", checksum(data)) + data[4:], protocol=1)
            call.echo()




@case("G29")
def g29(target):
    """TOS, ECN and TTL of the client: not copied"""
    with target.talking() as call:
        call.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xB8)
        call.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 9)
        call.echo()
        call.sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 3)
        call.echo()
        tos = {data[1] for _, data in call.packets[-2:]}
        expect(tos <= {0}, f"TOS {tos}")
        expect(min(data[8] for _, data in call.packets[-2:]) > 32, "TTL copied")

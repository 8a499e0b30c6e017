"""T01 to T20: what can be done to the TCP port without speaking the protocol."""

import contextlib
import random
import socket
import struct
import time

from lab import LabError, pptp, tcp_segment, traffic

from .case import Failed, case, expect
from .target import barrier, flood_of, until_closed

BANNERS = (b"GET / HTTP/1.1\r\nHost: vpn\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n",
           b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"\0", b"\r\n\r\n" * 8,
           b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0")


def reset(control):
    """Ends a connection with RST instead of FIN."""
    control.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    control.sock.close()


def patience(target):
    """Generous: for a deadline of the server."""
    return 20 + 4 * target.first_wait


@case("T01", slow=True)
def t01(target):
    """silent connections: closed at the deadline, others are answered meanwhile"""
    silent = [target.control() for _ in range(3)]
    try:
        began = time.monotonic()
        target.expect_answers("beside three silent connections")
        waited = time.monotonic() - began
        expect(silent[0].is_open() or waited < target.first_wait,
               "the newcomer waited until the silent ones were closed")
        for control in silent:
            expect(not until_closed(control, patience(target)), "a silent client is spoken to")
    finally:
        for control in silent:
            control.sock.close()


@case("T02", slow=True)
def t02(target):
    """a byte now and then: the deadline is the message's, not the byte's"""
    request, sent = pptp.sccrq(), 0
    step = target.first_wait / 8
    with target.control() as control, contextlib.suppress(ConnectionError):
        for byte in request[:-1]:
            if not control.is_open():
                break
            control.send(bytes([byte]))
            sent += 1
            time.sleep(step)        # the pace of the attack, not a wait for something
    expect(sent < 60, f"{sent} bytes at {step:.2f} s each were waited for")


@case("T03")
def t03(target):
    """first segment shorter than a header: the rest is waited for"""
    for cut in 1, 2, 11:
        with target.control() as control:
            request = pptp.sccrq()
            control.send(request[:cut])
            target.expect_answers(f"while {cut} bytes of another's SCCRQ are there")
            control.send(request[cut:])
            control.receive(pptp.SCCRP)


@case("T04")
def t04(target):
    """every byte in its own segment: works like one segment"""
    with target.control() as control:
        for byte in pptp.sccrq() + pptp.ocrq(4):
            control.send(bytes([byte]))
        control.receive(pptp.SCCRP)
        expect(pptp.ocrp(control.receive())[1:] == (4, pptp.OCRP_OK), "the call is refused")


@case("T05")
def t05(target):
    """SCCRQ, OCRQ and SLI in one segment: all are processed"""
    with target.control() as control:
        sli = pptp.message(pptp.SLI, struct.pack("!HHII", 0, 0, 0xFFFFFFFF, 0xFFFFFFFF))
        control.send(pptp.sccrq() + pptp.ocrq(5) + sli + pptp.echorq(55))
        control.receive(pptp.SCCRP)
        # The call takes a moment, the echo does not.
        rest = {pptp.kind(m): m for m in (control.receive(), control.receive())}
        expect(set(rest) == {pptp.OCRP, pptp.ECHORP}, f"answers {sorted(rest)}")
        expect(pptp.ocrp(rest[pptp.OCRP])[1:] == (5, pptp.OCRP_OK), "the call is refused")


@case("T06")
def t06(target):
    """10 MB of Echo-Requests, no answer read: closed, nothing piles up"""
    with target.greeted() as control:
        block, sent = pptp.echorq(6) * 4096, 0
        try:
            while sent < 10_000_000:
                control.send(block)
                sent += len(block)
        except OSError:
            pass
        heard = until_closed(control)
        expect(all(pptp.kind(m) == pptp.ECHORP for m in heard), "the flood was read to its end")
        expect(20 * len(heard) <= 64 * 1024, f"{20 * len(heard)} bytes of answers were kept")
    target.expect_answers("after an echo flood")


@case("T07", slow=True)
def t07(target):
    """a client that never reads: closed when its answers cannot be written"""
    with target.greeted() as control:
        control.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        icrq = pptp.message(9, struct.pack("!HHIIHH", 7, 7, 3, 0, 0, 0) + bytes(192))
        deadline = time.monotonic() + 90
        try:
            while time.monotonic() < deadline:
                control.send(icrq)
                target.expect_answers("beside a client that does not read")
                time.sleep(0.025)   # 40 a second: the pace of the attack
        except (ConnectionError, TimeoutError):
            return
    raise Failed("90 s of unread answers did not end the connection")


def syn(source, port, server):
    return tcp_segment(source, server, (port, pptp.PORT), traffic.SYN, random.getrandbits(32))


@case("T08")
def t08(target):
    """SYN flood from an address that does not answer: newcomers are served"""
    source = target.need("spare")
    for port in range(1024, 1024 + 1500):
        target.raw(syn(source, port, target.server), source, 6)
    target.expect_answers("after 1500 SYNs")


@case("T09")
def t09(target):
    """300 half-open connections from one address: capped, other addresses are served"""
    other = target.need("other")
    held = []
    try:
        with contextlib.suppress(OSError):
            for _ in range(300):
                held.append(target.control())
        target.expect_answers("beside 300 half-open connections of another address", other)
        expect(sum(not c.is_open() for c in held) > 0 or len(held) < 300, "all 300 are kept")
    finally:
        for control in held:
            control.sock.close()


@case("T12")
def t12(target):
    """RST right after the connection is made: ignored"""
    for _ in range(50):
        reset(target.control())
    target.expect_answers("after resets")


@case("T13")
def t13(target):
    """SCCRQ, OCRQ, CCR and RST: the answers cannot be written, nothing else happens"""
    for n in range(20):
        control = target.control()
        with contextlib.suppress(OSError):
            control.send(pptp.sccrq() + pptp.ocrq(n + 1) + pptp.ccr(n + 1))
        reset(control)
    target.expect_answers("after resets in mid-conversation")


@case("T14")
def t14(target):
    """half-close after OCRQ: it is the end, the connection is closed"""
    call = target.call()
    with call:
        call.control.sock.shutdown(socket.SHUT_WR)
        until_closed(call.control)


@case("T16")
def t16(target):
    """urgent data, TCP Fast Open, odd segments: a stream and nothing else"""
    with target.control() as control:
        control.sock.send(b"!", socket.MSG_OOB)
        control.send(pptp.sccrq())
        control.receive(pptp.SCCRP)
        control.sock.send(b"!", socket.MSG_OOB)
        expect(not barrier(control), "urgent data is answered")
    with socket.socket() as sock:
        sock.bind((target.local, 0))
        sock.settimeout(20)
        try:
            sock.sendto(pptp.sccrq(), socket.MSG_FASTOPEN, (target.server, pptp.PORT))
        except BlockingIOError:
            return
        expect(len(sock.recv(156, socket.MSG_WAITALL)) == 156, "no SCCRP to a fast-open SCCRQ")


@case("T17")
def t17(target):
    """banners of HTTP, SSH, TLS, RDP: closed without a word"""
    for banner in BANNERS:
        with target.control() as control:
            control.send(banner)
            if len(banner) < 2:
                control.sock.shutdown(socket.SHUT_WR)
            said = control.wait_closed()
            expect(not said, f"{banner[:12]} is answered with {said[:24]}")


@case("T10")
def t10(target):
    """half-open and slow connections from two addresses: calls that are up go on"""
    other, held = target.need("other"), []
    with target.talking() as call:
        try:
            with contextlib.suppress(OSError, LabError):
                for n in range(160):
                    held.append(target.control(other if n % 2 else None))
            call.echo()
            expect(not barrier(call.control), "the call's control connection is spoken to")
        finally:
            for control in held:
                control.sock.close()


@case("M27")
def m27(target):
    """100 000 small messages at once: closed, others are served meanwhile"""
    with target.greeted() as control:
        storm = pptp.message(pptp.SLI, struct.pack("!HHII", 9, 0, 0, 0)) * 500
        with flood_of(lambda: control.send(storm)):
            for _ in range(3):
                target.expect_answers("beside a message flood")
        with contextlib.suppress(OSError):
            for _ in range(200):
                control.send(storm)
        # Not the end that every connection without a call has, with a StopCCRQ.
        expect(not until_closed(control), "the flood was read to its end")

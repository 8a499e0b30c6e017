"""Those of P01 to P24 that need no login: LCP before authentication."""

import select
import struct
import time

from lab import pptp

from .case import case, expect
from .target import (CCP, CODE_REJ, CONF_ACK, CONF_REQ, EAP, ECHO_REQ, IPCP, LCP, PROT_REJ,
                     options_of, until_closed)

SETUP = 150             # seconds; servers give a login 60, a busy machine takes more


def expect_ended(call, patience=SETUP):
    """The server gives the call up by CDN, StopCCRQ or a close."""
    heard = until_closed(call.control, patience)
    kinds = [pptp.kind(m) for m in heard]
    expect(set(kinds) <= {pptp.CDN, pptp.STOPCCRQ, pptp.ECHORQ}, f"the end is {kinds}")


@case("P01", slow=True)
def p01(target):
    """a call without a single frame: given up"""
    with target.call() as call:
        expect_ended(call)


@case("P02", slow=True)
def p02(target):
    """Configure-Requests for ever: given up in time"""
    with target.call() as call:
        deadline, number = time.monotonic() + SETUP, 0
        while not select.select([call.control.sock], [], [], 0)[0]:
            number += 1
            call.say(LCP, CONF_REQ, b"\x01\x04\x05\x78\x05\x06" + struct.pack("!I", number))
            while call.receive(0.5):
                pass
            expect(time.monotonic() < deadline, f"still negotiating after {SETUP} s")
        expect_ended(call)


@case("P03", slow=True)
def p03(target):
    """LCP open, then silence before authentication: given up in time"""
    with target.talking() as call:
        expect_ended(call)


@case("P09")
def p09(target):
    """the server's own frames do not come back, nor do the client's"""
    with target.call() as call:
        sent = call.frame(LCP, CONF_REQ, 200, b"\x01\x04\x05\x78\x05\x06\x12\x34\x56\x78")
        call.send(sent)
        call.open_lcp()
        call.echo()
        expect(all(p.payload[2:] != sent[2:] for p, _ in call.packets), "our own frame came back")


@case("P11")
def p11(target):
    """payload of nothing but flags and escapes: carried whole"""
    with target.talking() as call:
        for pattern in b"\x7e", b"\x7d", b"\x7d\x7e", b"\x7d\x5e", b"\xff\x03", b"\x00\x11\x13":
            call.echo(pattern * (1300 // len(pattern)))


@case("P12")
def p12(target):
    """plain IP, IPv6, compressed TCP, multilink before any login: no answer, no call lost"""
    with target.talking() as call:
        for protocol in 0x0021, 0x0057, 0x002D, 0x002F, 0x003D, 0x00FB, 0x0031, 0x4021:
            for start in b"\xff\x03", b"":
                call.send(start + struct.pack("!H", protocol) + bytes(40))
        call.send(b"\x21" + bytes(40))
        seen = call.echo()
        expect(all(p in (LCP, 0xC223, 0xC227, 0xC023) for p, _, _ in seen),
               f"protocols {[hex(p) for p, _, _ in seen]}")


@case("P15")
def p15(target):
    """the client demands that the server log in: refused, no secret is used"""
    with target.call() as call:
        for demand in b"\x03\x04\xc0\x23", b"\x03\x05\xc2\x23\x05", b"\x03\x05\xc2\x23\x81":
            identifier = call.say(LCP, CONF_REQ, demand)
            answer = call.wait_ppp(lambda p, c, i, b, n=identifier: p == LCP and i == n and
                                   c in (2, 3, 4), "the answer to Configure-Request")
            expect(answer[1] in (3, 4), f"{demand.hex()} is acknowledged")


@case("P20")
def p20(target):
    """EAP with wrong lengths, before and beside the login: the call goes on"""
    with target.talking() as call:
        for data in (b"\x01\x01\x00\x00", b"\x02\x01\x00\x03\x01", b"\x02\x01\xff\xff\x04" + bytes(30),
                     b"\x02\x01\x00\x05\x04", b"\x02\x02\x04\x00\x04\x20" + b"A" * 1018, b"\x02"):
            call.send(b"\xff\x03" + struct.pack("!H", EAP) + data)
        call.echo()


@case("P21")
def p21(target):
    """Protocol-Reject, Code-Reject and Echo floods: bounded, the call goes on"""
    with target.talking() as call:
        for n in range(300):
            call.say(LCP, PROT_REJ, struct.pack("!H", 0x80FD) + bytes(8))
            call.say(LCP, CODE_REJ, struct.pack("!BBH", 99, 1, 8) + bytes(4))
            call.say(LCP, ECHO_REQ, bytes(4) + struct.pack("!I", n))
        call.echo()


@case("P22")
def p22(target):
    """compression (BSD, Deflate) and IP before the login: never acknowledged"""
    with target.talking() as call:
        for _ in range(3):
            call.say(CCP, CONF_REQ, b"\x15\x03\x2f" + b"\x1a\x04\x78\x00")
            call.say(IPCP, CONF_REQ, b"\x03\x06\x00\x00\x00\x00\x02\x06\x00\x2d\x0f\x01")
            seen = call.echo()
            expect(all(not (p in (CCP, IPCP) and c == CONF_ACK) for p, c, _ in seen),
                   "CCP or IPCP is acknowledged before the login")


@case("P23")
def p23(target):
    """multilink (MRRU, endpoint discriminator) and callback as Windows offers them: refused"""
    options = b"\x01\x04\x05\x78\x11\x04\x06\x4e\x13\x09\x03\0\x11\x22\x33\x44\x55\x0d\x03\x06"
    with target.call() as call:
        answers = call.open_lcp(options)
        refused = {kind for code, body in answers if code in (3, 4) for kind, _ in options_of(body)}
        expect({0x11, 0x0D} <= refused, f"refused are the options {refused}")

"""M01 to M27 and S01 to S16 as far as they are more than one message in one state: those are
in table.txt, and here only by their id."""

import socket
import struct

from lab import LabError, pptp

from . import table
from .case import Failed, case, expect
from .target import barrier, names, text, until_closed

LAYOUTS, ROWS = table.read()


def rows(target, *wanted):
    """Lines of the table under an id of the abuse list."""
    wrong = []
    for row in ROWS:
        if any(row.text == w or w.endswith("*") and row.text.startswith(w[:-1]) for w in wanted):
            try:
                table.check_row(target, LAYOUTS, row)
            except Failed as error:
                wrong.append(f"{row.text}: {error}")
    if wrong:
        raise Failed("; ".join(wrong))


@case("M01")
def m01(target):
    """length 0 to 11: closed"""
    for length in range(12):
        expect_closed(target, struct.pack("!H", length) + pptp.sccrq()[2:], f"length {length}")
        expect_closed_later(target, struct.pack("!H", length) + pptp.echorq(1)[2:])


@case("M02")
def m02(target):
    """length above the longest message: closed at the header"""
    for length in 221, 256, 1024, 32768, 65535:
        expect_closed(target, struct.pack("!H", length) + pptp.sccrq()[2:12], f"length {length}")
        expect_closed_later(target, struct.pack("!H", length) + pptp.echorq(1)[2:12])


def expect_closed(target, data, what):
    """As first message: closed without a word."""
    with target.control() as control:
        control.send(data)
        heard = until_closed(control)
        expect(not heard, f"{what} is answered: {names(heard)}")


def expect_closed_later(target, data):
    with target.greeted() as control:
        control.send(data)
        heard = until_closed(control)
        expect(not heard, f"{data[:12].hex()} is answered: {names(heard)}")


@case("M03")
def m03(target):
    """a length that is not the type's: closed"""
    for name, layout in LAYOUTS.items():
        for length in layout.length - 1, layout.length + 1:
            if 12 <= length <= 220:
                data = table.build(LAYOUTS, name, {"length": str(length)}, 0) + bytes(4)
                expect_closed_later(target, data[:max(length, 12)])


@case("M04")
def m04(target):
    """cookie wrong by a bit, or in the wrong order: closed"""
    for cookie in *(pptp.COOKIE ^ 1 << bit for bit in range(0, 32, 5)), 0x4D3C2B1A, 0, 0xFFFFFFFF:
        data = pptp.sccrq()
        expect_closed(target, data[:4] + struct.pack("!I", cookie) + data[8:], f"{cookie:#x}")
        data = pptp.echorq(1)
        expect_closed_later(target, data[:4] + struct.pack("!I", cookie) + data[8:])


@case("M05")
def m05(target):
    """PPTP message type 0, 2, 65535: closed"""
    rows(target, "SCCRQ type*", "EchoRQ type*")


@case("M06")
def m06(target):
    """control message type 0, 16, 255, 65535: closed"""
    rows(target, "SCCRQ control*", "EchoRQ control*")


@case("M07")
def m07(target):
    """reserved fields not 0: accepted"""
    rows(target, "SCCRQ reserved0*", "OCRQ reserved0*", "EchoRQ reserved0*", "SLI reserved1*")


@case("M08")
def m08(target):
    """version below 0x0100: SCCRP result 5, closed"""
    rows(target, "SCCRQ version=0x00*")


@case("M09")
def m09(target):
    """version above 0x0100: SCCRP with 0x0100, result 1"""
    for version in 0x0101, 0x0200, 0xFFFF:
        with target.control() as control:
            control.send(pptp.sccrq(version=version))
            reply = control.receive(pptp.SCCRP)
            expect(reply[12:15] == b"\1\0\1", f"version and result {reply[12:15].hex()}")
            expect(not barrier(control), "and then more is said")


@case("M10")
def m10(target):
    """names without NUL, with format strings, escapes, line ends, broken UTF-8: taken as bytes"""
    for name in (b"%n%s%x%p" * 8, b"\x1b[2J\x1b]0;x\x07" * 5, b"\n\r\0\t\x7f" * 12, b"\xff\xfe\x80" * 21,
                 b"A" * 64, b"../../../../etc/passwd", b"$(id)`id`;id|id&", b'" x="'):
        with target.control() as control:
            request = pptp.sccrq(host=name[:64])
            control.send(request[:92] + name[:64].ljust(64, b"\xaa"))
            control.receive(pptp.SCCRP)


@case("M11")
def m11(target):
    """phone number longer than its field, or rubbish of length 0: ignored"""
    rows(target, "OCRQ phone_length*")


@case("M12")
def m12(target):
    """bit rates 0, crossed, largest: accepted"""
    rows(target, "OCRQ min_bps*")


@case("M13")
def m13(target):
    """bearer and framing 0, 7, all bits: accepted"""
    rows(target, "OCRQ bearer*", "SCCRQ framing*")


@case("M14")
def m14(target):
    """window 0, 1, 65535, delay 65535: accepted"""
    rows(target, "OCRQ window*")


@case("M15")
def m15(target):
    """call id 0 and 65535: legal, copied"""
    rows(target, "OCRQ call_id=0", "OCRQ call_id=65535")


@case("M16")
def m16(target):
    """the same call id twice: OCRP 2/5, the first call goes on"""
    with target.talking() as call:
        call.control.send(pptp.ocrq(call.client_id))
        reply = call.control.receive(pptp.OCRP)
        expect(reply[16:18] == b"\2\5", f"result {reply[16]}/{reply[17]}")
        call.echo()


@case("M17")
def m17(target):
    """SLI for a call that is not there; hundreds of them: ignored, then closed for their rate"""
    with target.greeted() as control:
        sli = pptp.message(pptp.SLI, struct.pack("!HHII", 0x4444, 0, 0, 0))
        control.send(sli * 20)
        expect(not barrier(control), "SLI is answered")
        try:
            for _ in range(200):
                control.send(sli * 50)
        except OSError:
            return
        expect(not until_closed(control), "SLI is answered")


@case("M18")
def m18(target):
    """SLI with any character map: no effect on the call"""
    with target.talking() as call:
        for accm in 0, 0xFFFFFFFF, 0x5A5A5A5A:
            call.control.send(pptp.message(pptp.SLI, struct.pack("!HHII", call.server_id, 0, accm,
                                                                 accm)))
        expect(not barrier(call.control), "SLI is answered")
        call.echo(b"\x7d\x7e\0\x11\x13")


@case("M19")
def m19(target):
    """the server's own messages from a client: ignored, the call goes on"""
    with target.talking() as call:
        for name in "SCCRP", "OCRP", "ICRP", "ICCN", "WEN":
            call.control.send(table.build(LAYOUTS, name, {"call_id": "0x4444"} if name in
                                          ("OCRP", "ICRP") else {}, call.server_id))
        expect(not barrier(call.control), "they are answered")
        call.echo()


@case("M20")
def m20(target):
    """CDN from a client with its own id: like CCR"""
    rows(target, "CDN")


@case("M21")
def m21(target):
    """ICRQ of 220 bytes: ICRP result 3"""
    rows(target, "ICRQ*")


@case("M22")
def m22(target):
    """CCR with an id that no call has, two calls there: both go on"""
    with target.greeted() as control:
        one = target.talking(control=control)
        two = target.talking(control=control)
        control.send(pptp.ccr(next(n for n in (3, 5, 7) if n not in (one.client_id, two.client_id))))
        heard = barrier(control)
        expect(all(m and pptp.kind(m) == pptp.CDN and m[14] == 2 for m in heard),
               f"answer: {names(heard)}")
        for call in one, two:
            call.echo()
            call.sock.close()


@case("M23")
def m23(target):
    """Echo-Replies nobody asked for: ignored"""
    rows(target, "EchoRP*")


@case("M24")
def m24(target):
    """Echo-Request 0 and 0xffffffff: copied"""
    rows(target, "EchoRQ id*")


@case("M25")
def m25(target):
    """StopCCRQ with any reason: StopCCRP 1, closed"""
    rows(target, "StopCCRQ*")


@case("M26")
def m26(target):
    """StopCCRP nobody asked for: ignored"""
    with target.talking() as call:
        call.control.send(table.build(LAYOUTS, "StopCCRP", {}, 0))
        expect(not barrier(call.control), "it is answered, or closes")
        call.echo()


# -- state and sequence -------------------------------------------------------------

@case("S01")
def s01(target):
    """anything but SCCRQ first: closed without a word"""
    for name in LAYOUTS:
        if name != "SCCRQ":
            expect_closed(target, table.build(LAYOUTS, name, {}, 0), name)


@case("S02")
def s02(target):
    """SCCRQ again in a call: SCCRP result 3 or closed; the call goes on"""
    with target.talking() as call:
        call.control.send(pptp.sccrq())
        heard = barrier(call.control)
        said = " ".join(text(m) for m in heard)
        expect(said in ("SCCRP(3/0)", "CLOSE"), f"answer: {said}")
        if heard[-1]:
            call.echo()


@case("S03")
def s03(target):
    """OCRQ before SCCRQ: closed"""
    expect_closed(target, pptp.ocrq(3), "OCRQ")


@case("S04")
def s04(target):
    """the next OCRQ while the last call's pppd is dying: accepted at once, an id of its own"""
    with target.talking() as call:
        call.clear()
        with target.call(call.control) as following:
            expect(following.server_id != call.server_id, "the same call id again")
            following.open_lcp()


@case("S05")
def s05(target):
    """OCRQ, CCR again and again: limited by OCRP 2/4 or closed"""
    accepted = 0
    with target.greeted() as control:
        try:
            for n in range(1, 61):
                control.send(pptp.ocrq(n))
                _, _, result = pptp.ocrp(control.receive())
                if result == pptp.OCRP_OK:
                    accepted += 1
                    control.send(pptp.ccr(n))
                    control.receive(pptp.CDN)
        except (LabError, ConnectionError):
            pass
        expect(accepted < 60, "60 calls in a row were accepted")
    target.expect_answers("after call flaps")


@case("S06")
def s06(target):
    """hundreds of OCRQs: a few calls, OCRP 2/4 to the others, or closed"""
    results = []
    with target.greeted() as control:
        try:
            for n in range(1, 81):
                control.send(pptp.ocrq(n))
            for n in range(1, 81):
                reply = control.receive(pptp.OCRP)
                results.append((reply[16], reply[17]))
        except (LabError, ConnectionError):
            pass
        expect(results.count((1, 0)) <= 16, f"{results.count((1, 0))} calls on one connection")
        expect(set(results) <= {(1, 0), (2, 4), (7, 0), (4, 0)}, f"results {set(results)}")
    target.expect_answers("after 80 OCRQs")


@case("S07")
def s07(target):
    """CCR right behind OCRQ: the call is cleared, CDN"""
    with target.greeted() as control:
        control.send(pptp.ocrq(7) + pptp.ccr(7))
        heard = barrier(control)
        while heard and heard[-1] and pptp.CDN not in [pptp.kind(m) for m in heard]:
            heard += barrier(control)
        expect(pptp.CDN in [pptp.kind(m) for m in heard if m], f"answer: {names(heard)}")


@case("S08")
def s08(target):
    """a whole life and FIN in one segment: answered in order, closed"""
    for _ in range(10):
        with target.control() as control:
            control.send(pptp.sccrq() + pptp.ocrq(8) + pptp.ccr(8) +
                         pptp.message(pptp.STOPCCRQ, struct.pack("!BBH", 1, 0, 0)))
            control.sock.shutdown(socket.SHUT_WR)
            kinds = [pptp.kind(m) for m in until_closed(control)]
            expect(kinds[:1] == [pptp.SCCRP] and kinds[-1:] == [pptp.STOPCCRP], f"kinds {kinds}")
    target.expect_answers("after whole lives in a segment")


@case("S09")
def s09(target):
    """messages after StopCCRQ: ignored, closed"""
    with target.greeted() as control:
        control.send(pptp.message(pptp.STOPCCRQ, struct.pack("!BBH", 1, 0, 0)) + pptp.ocrq(9) +
                     pptp.echorq(9))
        kinds = [pptp.kind(m) for m in until_closed(control)]
        expect(kinds == [pptp.STOPCCRP], f"kinds {kinds}")


@case("S10")
def s10(target):
    """messages after the server's StopCCRQ: only Echo, StopCCRQ and StopCCRP count"""
    control, _, extra = table.reach(target, "wait-stop")
    with control:
        control.send(pptp.ocrq(10) + pptp.sccrq() + pptp.ccr(10))
        heard = barrier(control)
        expect(not heard, f"answer: {names(heard)}")
        control.send(table.build(LAYOUTS, "StopCCRP", {}, 0))
        expect(not until_closed(control), "something is said after StopCCRP")
    extra.close()


@case("S11")
def s11(target):
    """GRE goes on after TCP is closed: nothing comes back to life"""
    with target.talking() as call:
        call.control.sock.close()
        # pppd may still say goodbye; after that there is nobody.
        while call.receive(1.5):
            pass
        frame, _ = call.forged()
        for _ in range(50):
            call.send(frame)
        found = call.receive(1)
        expect(not found, f"GRE for a dead call is answered: {found}")


@case("S13")
def s13(target):
    """a second control connection of the same address: accepted, the first goes on"""
    with target.talking() as one, target.talking(call_id=one.client_id) as two:
        expect(one.server_id != two.server_id, "both calls have the same id of the server")
        two.close()
        one.echo()


@case("S15")
def s15(target):
    """StopCCRP with result 2 (not closed): closed all the same"""
    rows(target, "StopCCRP result=2*")


@case("R15")
def r15(target):
    """amplification: no answer to GRE of strangers, an Echo-Reply is the largest growth"""
    with target.greeted() as control:
        control.send(pptp.echorq(15))
        expect(len(control.receive(pptp.ECHORP)) <= 20, "Echo-Reply is longer than 20 bytes")


@case("R16")
def r16(target):
    """call ids: random, none twice, none 0"""
    ids, calls = [], []
    for _ in range(12):
        calls.append(target.call())
        ids.append(calls[-1].server_id)
    for call in calls:
        call.close()
    steps = {(b - a) & 0xFFFF for a, b in zip(ids, ids[1:])}
    expect(0 not in ids and len(set(ids)) == len(ids), f"ids {ids}")
    expect(len(steps) > 3, f"ids can be guessed: {ids}")


@case("R08")
def r08(target):
    """40 clients come back at once: every one is answered"""
    controls = [target.control() for _ in range(40)]
    for control in controls:
        control.send(pptp.sccrq() + pptp.ocrq(target.call_id()))
    for control in controls:
        control.receive(pptp.SCCRP)
        control.receive(pptp.OCRP)
        control.sock.close()


@case("R22")
def r22(target):
    """a server with two addresses: GRE leaves from the one that was called"""
    alias = target.need("alias")
    with target.talking(control=target.greeted(server=alias)) as call:
        call.echo()

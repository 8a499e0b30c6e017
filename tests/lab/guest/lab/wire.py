"""A capture told as events: the control messages on TCP 1723, LCP in GRE, FIN and RST."""

import dataclasses
import socket
import struct

from .errors import LabError
from .processes import poll
from .traffic import parse_gre

PORT = 1723
MESSAGES = {1: "SCCRQ", 2: "SCCRP", 3: "StopCCRQ", 4: "StopCCRP", 5: "EchoRQ", 6: "EchoRP",
            7: "OCRQ", 8: "OCRP", 9: "ICRQ", 10: "ICRP", 11: "ICCN", 12: "CCR", 13: "CDN",
            14: "WEN", 15: "SLI"}
LCP = {1: "ConfReq", 2: "ConfAck", 3: "ConfNak", 4: "ConfRej", 5: "TermReq", 6: "TermAck",
       7: "CodeRej", 8: "ProtRej", 9: "EchoReq", 10: "EchoRep"}

# RFC 2637 section 2.13 and 2.3
LOST_CARRIER, GENERAL_ERROR, ADMIN_SHUTDOWN, REQUEST = 1, 2, 3, 4
STOP_NONE, STOP_SHUTDOWN = 1, 3


@dataclasses.dataclass
class Event:
    time: float
    source: str
    destination: str
    name: str           # 'CDN', 'LCP TermReq', 'FIN', 'RST' ...
    code: int = 0       # result of CDN, OCRP, StopCCRP; reason of StopCCRQ
    error: int = 0

    def __str__(self):
        code = f"({self.code}, {self.error})" if self.code or self.error else ""
        return f"{self.source}>{self.destination} {self.name}{code}"


class Stream:
    """One direction of a TCP connection, put together from its segments."""

    def __init__(self):
        self.next = None
        self.data = b""

    def add(self, seq, payload, syn):
        """Whole messages that are complete now."""
        if not payload and not syn:
            return      # a keep-alive has the number of a byte that was sent long ago
        if syn:
            self.next, self.data = (seq + 1) & 0xFFFFFFFF, b""
        if self.next is None:
            self.next = seq     # the capture began later, between two messages
        skip = (self.next - seq) & 0xFFFFFFFF
        if skip < len(payload):
            self.data += payload[skip:]
            self.next = (seq + len(payload)) & 0xFFFFFFFF
        while len(self.data) >= 2:
            length = struct.unpack_from("!H", self.data)[0]
            if length < 12 or len(self.data) < length:
                return
            message, self.data = self.data[:length], self.data[length:]
            yield message


def events(packets):
    """Of a capture's packets, in their order."""
    streams, found = {}, []
    for time, frame in packets:
        if len(frame) < 34 or frame[12:14] != b"\x08\x00":
            continue
        if frame[23] == 6:
            found += tcp_events(time, frame, streams)
        elif frame[23] == 47:
            found += lcp_events(time, frame)
    return found


def tcp_events(time, frame, streams):
    at = 14 + (frame[14] & 15) * 4
    end = 14 + struct.unpack_from("!H", frame, 16)[0]
    sport, dport, seq = struct.unpack_from("!HHI", frame, at)
    if PORT not in (sport, dport):
        return
    ends = (socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34]))
    flags = frame[at + 13]
    payload = frame[at + (frame[at + 12] >> 4) * 4:end]
    stream = streams.setdefault((*ends, sport, dport), Stream())
    for message in stream.add(seq, payload, flags & 2):
        yield control_event(time, ends, message)
    if flags & 1:
        yield Event(time, *ends, "FIN")
    if flags & 4:
        yield Event(time, *ends, "RST")


def control_event(time, ends, message):
    kind = struct.unpack_from("!H", message, 8)[0]
    event = Event(time, *ends, MESSAGES.get(kind, f"type {kind}"))
    if kind in (8, 13):             # two call ids or one, then result and error
        event.code, event.error = message[16 if kind == 8 else 14:][:2]
    elif kind in (3, 4):
        event.code, event.error = message[12:14]
    return event


def lcp_events(time, frame):
    packet = parse_gre(frame)
    if packet is None:
        return
    ppp = packet.payload[2:] if packet.payload[:2] == b"\xff\x03" else packet.payload
    if ppp[:2] == b"\xc0\x21" and len(ppp) > 2:
        yield Event(time, packet.source, packet.destination,
                    "LCP " + LCP.get(ppp[2], str(ppp[2])))


def positions(found, wanted):
    """Where in the list the wanted ones are, each after the one before; None when they are not
    there in this order. wanted: names, or (name, code)."""
    where, at = [], 0
    for want in wanted:
        name, code = want if isinstance(want, tuple) else (want, None)
        while at < len(found) and not (found[at].name == name and code in (None, found[at].code)):
            at += 1
        if at == len(found):
            return None
        where.append(at)
        at += 1
    return where


class Wire:
    """What the two ends say to each other from now on, as srv sees it. gre: in GRE as well."""

    def __init__(self, lab, ns="srv", gre=True):
        what = "tcp port 1723" + " or proto 47" * gre
        self.capture = lab.capture(ns, "eth0", what, "wire")

    def events(self):
        return events(self.capture.packets())

    def told(self, address):
        """What was sent to a client."""
        return [event for event in self.events() if event.destination == address]

    def control(self, address):
        """[(message, code)] to a client on TCP but keep-alives."""
        names = set(MESSAGES.values()) - {"EchoRQ", "EchoRP"}
        return [(event.name, event.code) for event in self.told(address) if event.name in names]

    def wait_order(self, address, wanted, timeout=60):
        """Until a client was told all of these, in this order; see positions()."""
        try:
            poll(lambda: positions(self.told(address), wanted), "", timeout, every=0.1)
        except LabError:
            seen = ", ".join(str(event) for event in self.told(address)[-12:])
            raise LabError(f"{address} was not told {wanted}, but: {seen or 'nothing'}") from None

    def wait_closed(self, address, timeout=60):
        """Until one end has closed a client's TCP connection."""
        def closed():
            return any(event.name in ("FIN", "RST") and address in (event.source, event.destination)
                       for event in self.events())
        poll(closed, f"the TCP connection to {address} is closed", timeout, every=0.1)

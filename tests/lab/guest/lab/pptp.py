"""The control connection by hand: a client that says what it likes (RFC 2637 section 2)."""

import contextlib
import random
import socket
import struct

from .errors import LabError
from .namespaces import inside

PORT = 1723
COOKIE = 0x1A2B3C4D
SCCRQ, SCCRP, STOPCCRQ, STOPCCRP, ECHORQ, ECHORP, OCRQ, OCRP = range(1, 9)
CCR, CDN, SLI = 12, 13, 15
OCRP_OK, OCRP_BUSY = 1, 4


def message(kind, body):
    """A whole message with its header."""
    return struct.pack("!HHIHH", 12 + len(body), 1, COOKIE, kind, 0) + body


def sccrq(host=b"lab", version=0x0100):
    return message(SCCRQ, struct.pack("!HHIIHH64s64s", version, 0, 3, 3, 0, 1, host, b"lab"))


def ocrq(call_id, serial=1):
    return message(OCRQ, struct.pack("!HHIIIIHHHH64s64s", call_id, serial, 300, 100_000_000, 3, 3,
                                     64, 0, 0, 0, b"", b""))


def echorq(identifier):
    return message(ECHORQ, struct.pack("!I", identifier))


def ccr(call_id):
    return message(CCR, struct.pack("!HH", call_id, 0))


def kind(packet):
    """The type of a whole message."""
    return struct.unpack_from("!H", packet, 8)[0]


def ocrp(packet):
    """(server's call id, client's call id, result) of an OCRP."""
    if kind(packet) != OCRP:
        raise LabError(f"message {kind(packet)} came instead of OCRP")
    server_id, client_id, result = struct.unpack_from("!HHB", packet, 12)
    return server_id, client_id, result


def segments(packets):
    """What captured TCP segments carry, of those that begin with a control message."""
    found = []
    for _, frame in packets:
        at = 14 + (frame[14] & 15) * 4
        end = 14 + struct.unpack_from("!H", frame, 16)[0]
        payload = frame[at + (frame[at + 12] >> 4) * 4:end]
        if len(payload) >= 12 and struct.unpack_from("!I", payload, 4)[0] == COOKIE:
            found.append(payload)
    return found


class Control:
    """A control connection from a namespace, or from here when it is None; source: one of its
    addresses."""

    def __init__(self, ns, server, source="", timeout=60):
        self.server = server
        with inside(ns) if ns else contextlib.nullcontext():
            self.sock = socket.create_connection((server, PORT), timeout,
                                                 (source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    @property
    def port(self):
        return self.sock.getsockname()[1]

    def send(self, data):
        self.sock.sendall(data)

    def receive_exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise LabError(f"control connection closed after {len(data)} of {size} bytes")
            data += more
        return data

    def receive(self, wanted=None):
        """The next message; wanted: it must be of this type."""
        head = self.receive_exactly(12)
        packet = head + self.receive_exactly(struct.unpack_from("!H", head)[0] - 12)
        if wanted is not None and kind(packet) != wanted:
            raise LabError(f"message {kind(packet)} came instead of {wanted}")
        return packet

    def greet(self):
        """SCCRQ, answered."""
        self.send(sccrq())
        return self.receive(SCCRP)

    def call(self, call_id=None):
        """OCRQ: (server's call id, client's call id, result)."""
        self.send(ocrq(call_id or random.randrange(1, 65536)))
        return ocrp(self.receive(OCRP))

    def is_open(self):
        """Without waiting or reading: nothing came, or something that is no end."""
        timeout = self.sock.gettimeout()
        self.sock.settimeout(0)
        try:
            return self.sock.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self.sock.settimeout(timeout)

    def wait_closed(self):
        """Until the server closes it; returns what it said before."""
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while more := self.sock.recv(4096):
                said += more
        return said

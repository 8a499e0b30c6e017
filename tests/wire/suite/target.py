"""The server under test as a client sees it: control connections, GRE, a little PPP."""

import contextlib
import os
import random
import select
import socket
import struct
import threading
import time

from lab import LabError, pptp, traffic

from .case import Failed, NotHere, expect

WATCHDOG = 30           # seconds until a server that says nothing has failed
QUIET = 1.0             # seconds
PROTO_GRE = 47
LCP, CHAP, EAP, CCP, IPCP = 0xC021, 0xC223, 0xC227, 0x80FD, 0x8021
CONF_REQ, CONF_ACK, CONF_NAK, CONF_REJ, TERM_REQ, TERM_ACK, CODE_REJ, PROT_REJ, ECHO_REQ, \
    ECHO_REP = range(1, 11)
NAMES = {1: "SCCRQ", 2: "SCCRP", 3: "StopCCRQ", 4: "StopCCRP", 5: "EchoRQ", 6: "EchoRP", 7: "OCRQ",
         8: "OCRP", 9: "ICRQ", 10: "ICRP", 11: "ICCN", 12: "CCR", 13: "CDN", 14: "WEN", 15: "SLI"}


class Target:
    """Where the server is and what the run may use against it."""

    def __init__(self, server, local=None, other=None, alias=None, first_wait=10, spare=None,
                 patience=WATCHDOG):
        self.server = server
        self.local = local or own_address(server)
        self.other, self.alias = other, alias   # a second address of ours, of the server
        self.first_wait = first_wait            # its patience with a silent connection
        self.spare = spare                      # an address beside ours that nobody has
        self.patience = patience                # seconds until silence is a failure
        self.ids = iter(random.sample(range(1, 65536), 65535))
        self.lock = threading.Lock()

    def need(self, what):
        value = getattr(self, what)
        if not value:
            raise NotHere(f"needs --{what}")
        return value

    def call_id(self):
        with self.lock:
            return next(self.ids)

    # -- control connections ----------------------------------------------------------

    def control(self, source=None, server=None):
        """A connection that has said nothing yet."""
        return pptp.Control(None, server or self.server, source or self.local, self.patience)

    def greeted(self, source=None, server=None):
        control = self.control(source, server)
        control.greet()
        return control

    def expect_answers(self, when, source=None):
        """A newcomer is served."""
        try:
            with self.greeted(source):
                pass
        except (OSError, LabError) as error:
            raise Failed(f"{when}, a new client is not answered: {error}") from None

    def call(self, control=None, **how):
        """A call that the server has accepted; how: see Call."""
        control = control or self.greeted()
        call_id = how.pop("call_id", None)
        call_id = self.call_id() if call_id is None else call_id
        control.send(how.pop("request", None) or pptp.ocrq(call_id))
        server_id, client_id, result = pptp.ocrp(control.receive())
        expect(client_id == call_id, f"OCRP for call {client_id}, not {call_id}")
        expect(result == pptp.OCRP_OK, f"the call is refused with result {result}")
        return Call(self, control, call_id, server_id, **how)

    def talking(self, **how):
        """A call in which LCP is open: the server's pppd answers echos."""
        call = self.call(**how)
        call.open_lcp()
        return call

    def wait_quiet(self, call_id):
        """Until no earlier call with this id of ours is heard: GRE cannot tell two apart."""
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, PROTO_GRE) as sock:
            sock.bind((self.local, 0))
            last = time.monotonic()
            while time.monotonic() < last + QUIET:
                if select.select([sock], [], [], QUIET)[0]:
                    data = sock.recv(65535)
                    if data[26:28] == struct.pack("!H", call_id):
                        last = time.monotonic()

    # -- IP by hand ----------------------------------------------------------------------

    def raw(self, packet, source=None, protocol=PROTO_GRE, server=None):
        """An IP packet of any protocol with any source address."""
        traffic.inject(None, source or self.local, server or self.server, packet, protocol)


def own_address(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((server, 1723))
        return sock.getsockname()[0]


def barrier(control, token=None):
    """All that the server said before it answered an Echo-Request sent now, as messages; with
    b'' at the end when it closed instead."""
    token = token or random.randrange(1 << 16, 1 << 32)
    heard = []
    try:
        control.send(pptp.echorq(token))
        while True:
            message = control.receive()
            if pptp.kind(message) == pptp.ECHORP and message[12:16] == struct.pack("!I", token):
                return heard
            heard.append(message)
    except (LabError, ConnectionError):
        return heard + [b""]
    except TimeoutError:
        raise Failed(f"no answer to Echo-Request in {control.sock.gettimeout():g} s") from None


def until_closed(control, patience=None):
    """All messages until the server closes."""
    heard, usual = [], control.sock.gettimeout()
    patience = patience or usual
    control.sock.settimeout(patience)
    try:
        while True:
            heard.append(control.receive())
    except (LabError, ConnectionError):
        return heard
    except TimeoutError:
        raise Failed(f"the connection is not closed in {patience:g} s; said: "
                     f"{names(heard) or 'nothing'}") from None
    finally:
        control.sock.settimeout(usual)


def names(messages):
    return " ".join(text(m) for m in messages)


def text(message, own=None):
    """As tests/replay/acts_text.h writes it; own: this call id of the server is written 0x77."""
    if not message:
        return "CLOSE"
    kind = pptp.kind(message)
    name = NAMES.get(kind, f"type-{kind}")

    def number(value):
        value = 0x77 if own is not None and value == own else value
        return f"{value:#x}" if value else "0"      # as C's %#x

    def pair(at):
        return f"{message[at]}/{message[at + 1]}"

    if kind == 2:
        return f"{name}({pair(14)})"
    if kind == 3:
        return f"{name}({message[12]})"
    if kind == 4:
        return f"{name}({pair(12)})"
    if kind == 6:
        return f"{name}({number(struct.unpack_from('!I', message, 12)[0])},{pair(16)})"
    if kind in (8, 10):
        call, peer = struct.unpack_from("!HH", message, 12)
        return f"{name}({number(call)},{number(peer)},{pair(16)})"
    if kind == 13:
        return f"{name}({number(struct.unpack_from('!H', message, 12)[0])},{pair(14)})"
    return name


class Call:
    """A call as a client has it that is no pppd but can say LCP.

    first: its first sequence number. ack: 'ride' on data as most do, 'lone' besides, or 'never'
    as Android does."""

    def __init__(self, target, control, client_id, server_id, first=0, ack="ride", source=None):
        self.target, self.control = target, control
        self.client_id, self.server_id = client_id, server_id
        self.seq, self.ack, self.source = first, ack, source
        self.heard_seq = None       # the highest number of the server
        self.acked = None           # the newest ack that came
        self.first_server_seq = None
        self.identifier = 0
        self.packets = []           # all that came: traffic.Gre, and the IP header before it
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, PROTO_GRE)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.bind((source or target.local, 0))
        self.server = control.server

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Without a goodbye."""
        self.sock.close()
        self.control.sock.close()

    # -- GRE -------------------------------------------------------------------------------

    def packet(self, payload, seq=None, ack=None):
        return traffic.gre(self.server_id, payload, seq, ack)

    def send(self, payload, seq=None, ack=None):
        """The next data packet; seq: another number, which then does not count."""
        if ack is None and self.ack != "never" and self.heard_seq is not None:
            ack = self.heard_seq
        if seq is None:
            seq, self.seq = self.seq, self.seq + 1 & 0xFFFFFFFF
        self.send_packet(self.packet(payload, seq, ack))

    def send_packet(self, packet):
        self.sock.sendto(packet, (self.server, 0))

    def lone_ack(self, ack=None):
        self.send_packet(self.packet(b"", None, self.heard_seq if ack is None else ack))

    def receive(self, timeout):
        """The next data packet of this call; None when none comes."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self.sock], [], [], left)[0]:
                return None
            data = self.sock.recv(65535)
            found = traffic.parse_gre(bytes(12) + b"\x08\x00" + data)
            if not found or found.source != self.server or found.call_id != self.client_id:
                continue
            self.packets.append((found, data))
            if found.ack is not None:
                self.acked = found.ack
            if found.seq is None:
                continue
            if self.first_server_seq is None:
                self.first_server_seq = found.seq
            self.heard_seq = found.seq
            if self.ack == "lone":
                self.lone_ack()
            return found
        return None

    # -- PPP -------------------------------------------------------------------------------

    def frame(self, protocol, code, identifier, body):
        return b"\xff\x03" + struct.pack("!HBBH", protocol, code, identifier, 4 + len(body)) + body

    def next_identifier(self):
        self.identifier = self.identifier % 250 + 1
        return self.identifier

    def say(self, protocol, code, body, identifier=None):
        identifier = self.next_identifier() if identifier is None else identifier
        self.send(self.frame(protocol, code, identifier, body))
        return identifier

    def ppp(self, timeout):
        """(protocol, code, identifier, body) of the next frame with a code; None at the end."""
        found = self.receive(timeout)
        if found is None:
            return None
        data = found.payload[2:] if found.payload[:2] == b"\xff\x03" else found.payload
        if len(data) < 6:
            return 0, 0, 0, data
        protocol, code, identifier, length = struct.unpack_from("!HBBH", data)
        return protocol, code, identifier, data[6:2 + length]

    def wait_ppp(self, wanted, what, patience=None, again=None):
        """The first frame for which wanted(protocol, code, identifier, body) is true; Configure-
        Requests of the server are acknowledged on the way. again: done each second."""
        patience = patience or self.target.patience
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            got = self.ppp(1)
            if got is None:
                if again:
                    again()
                continue
            if got[0] == LCP and got[1] == CONF_REQ:
                self.say(LCP, CONF_ACK, got[3], got[2])
            if wanted(*got):
                return got
        raise Failed(f"{what} did not come in {patience:g} s")

    def open_lcp(self, options=b"\x01\x04\x05\x78"):
        """Both sides' Configure-Requests acknowledged. What the server does not like of ours
        is left out then, as by any client. Returns the codes of its answers."""
        answers, state = [], {"theirs": False, "ours": False, "options": options, "id": None}

        def ask():
            state["id"] = self.say(LCP, CONF_REQ, state["options"])

        def looked(protocol, code, identifier, body):
            if protocol != LCP:
                return False
            if code == CONF_REQ:
                state["theirs"] = True
            elif identifier == state["id"] and code == CONF_ACK:
                state["ours"] = True
                answers.append((code, body))
            elif identifier == state["id"] and code in (CONF_NAK, CONF_REJ):
                answers.append((code, body))
                state["options"] = without(state["options"], body)
                ask()
            return state["theirs"] and state["ours"]

        ask()
        self.wait_ppp(looked, "the server's part of LCP", again=ask)
        return answers

    def echo(self, data=b""):
        """LCP Echo-Request; returns what came before its answer, as ppp() gives it."""
        token = random.randbytes(8) + data
        seen = []

        def mine(protocol, code, _, body):
            seen.append((protocol, code, body))
            return protocol == LCP and code == ECHO_REP and body[4:] == token
        self.say(LCP, ECHO_REQ, bytes(4) + token)
        self.wait_ppp(mine, "the answer to an LCP echo in the call",
                      again=lambda: self.say(LCP, ECHO_REQ, bytes(4) + token))
        return seen[:-1]

    def forged(self, number=None):
        """(frame, was_answered): an Echo-Request of its own, and whether an answer to it is
        among what echo() returned."""
        token = b"FORGED" + (struct.pack("!H", number) if number is not None else random.randbytes(2))
        frame = self.frame(LCP, ECHO_REQ, 251, bytes(4) + token)

        def answered(seen):
            return sum(protocol == LCP and code == ECHO_REP and body[4:10 + 2] == token
                       for protocol, code, body in seen)
        return frame, answered

    def clear(self):
        """CCR, answered by CDN."""
        self.control.send(pptp.ccr(self.client_id))
        while pptp.kind(self.control.receive()) != pptp.CDN:
            pass


def without(options, refused):
    """A list of PPP options without those of the types in another list."""
    types = {kind for kind, _ in options_of(refused)}
    return b"".join(struct.pack("BB", kind, 2 + len(value)) + value
                    for kind, value in options_of(options) if kind not in types)


def options_of(data):
    while len(data) >= 2 and data[1] >= 2:
        yield data[0], data[2:data[1]]
        data = data[data[1]:]


@contextlib.contextmanager
def flood_of(function):
    """Calls a function again and again in a thread while the block runs."""
    done = threading.Event()

    def work():
        with contextlib.suppress(OSError):
            while not done.is_set():
                function()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def is_root():
    return os.geteuid() == 0

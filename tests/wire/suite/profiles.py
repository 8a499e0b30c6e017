"""Clients as they behave at the wire. Facts: RFC 2637 and public captures and sources of each;
what is not known of a client is as RFC 2637 has it."""

import dataclasses
import pathlib
import struct
import time

from lab import LabError, pptp

from .case import Failed, add, expect
from .target import Call, LCP, TERM_REQ, barrier, names, text, until_closed

MRU_MAGIC = b"\x01\x04\x05\x78\x05\x06\x6f\x02\x3e\x93"
WINDOWS_LCP = MRU_MAGIC + b"\x07\x02\x08\x02\x0d\x03\x06"
WINDOWS_2000_LCP = WINDOWS_LCP + b"\x11\x04\x06\x4e\x13\x09\x03\0\x11\x22\x33\x44\x55"
FULL = 0xFFFFFFFF


@dataclasses.dataclass
class Profile:
    name: str
    framing: int = 1
    bearer: int = 1
    channels: int = 0
    firmware: int = 0
    host: bytes = b""
    vendor: bytes = b""
    rubbish: bool = False       # where strings are not used
    call_id: int | None = None  # None: any
    serial: int = 0
    bps: tuple = (300, 100_000_000)
    kinds: tuple = (3, 3)       # bearer, framing
    window: int = 64
    delay: int = 0
    sli: tuple = ()             # (send, receive) character maps right after OCRP
    sli_open: tuple = ()        # and when LCP is open
    first: int = 0              # sequence number
    ack: str = "ride"           # or 'lone', 'never'
    first_ack: int | None = None    # on its first packet, before anything came
    lcp: bytes = MRU_MAGIC
    exact: bool = False         # drops packets that are longer than they say
    windowed: bool = False      # stops at half of the server's window until it is acknowledged
    pipelined: bool = False     # both requests in one segment
    goodbye: str = "ccr"        # 'windows', 'ccr', 'stop', 'tcp'


PROFILES = [
    Profile("windows-95", vendor=b"Microsoft", call_id=0, goodbye="ccr"),
    Profile("windows-nt4", firmware=1381, vendor=b"Microsoft Windows NT", rubbish=True, call_id=0,
            sli=((FULL, FULL),), lcp=WINDOWS_LCP),
    Profile("windows-2000", firmware=2195, vendor=b"Microsoft Windows NT", rubbish=True, call_id=0,
            serial=0x7828, sli=((FULL, FULL),), sli_open=((0, FULL),), lcp=WINDOWS_2000_LCP,
            ack="lone", goodbye="windows"),
    Profile("windows-xp", firmware=2600, vendor=b"Microsoft Windows NT", rubbish=True, call_id=0,
            serial=31240, sli=((FULL, FULL),), sli_open=((0, FULL),), lcp=WINDOWS_2000_LCP,
            ack="lone", goodbye="windows"),
    *(Profile(f"windows-{name}", vendor=b"Microsoft", rubbish=True, serial=serial,
              sli=((FULL, FULL),), sli_open=((0, FULL),), lcp=WINDOWS_LCP, ack="lone",
              goodbye="windows")
      for name, serial in (("vista", 1), ("7", 3), ("8", 2), ("10", 1), ("11", 5))),
    Profile("apple", sli=((FULL, FULL),), first=1, first_ack=0, windowed=True, goodbye="tcp"),
    Profile("android", framing=3, bearer=3, channels=1, host=b"anonymous", serial=4711,
            bps=(1000, 100_000_000), window=8192, ack="never", exact=True, goodbye="tcp"),
    Profile("pptp-linux", framing=3, bearer=3, channels=0xFFFF, firmware=1, host=b"local",
            vendor=b"cananian", bps=(2400, 10_000_000), window=3, first=1, ack="lone"),
    Profile("pptp-linux-1.8", framing=3, bearer=3, channels=0xFFFF, firmware=1, host=b"local",
            vendor=b"cananian", call_id=0, bps=(2400, 10_000_000), window=3, first=1, ack="lone"),
    Profile("kernel-plugin", framing=3, bearer=3, channels=0xFFFF, firmware=1, host=b"local",
            vendor=b"cananian", call_id=1, bps=(2400, 10_000_000), window=50, first=1),
    Profile("mikrotik", framing=2, bearer=0, firmware=1, vendor=b"MikroTik", serial=1, first=1,
            window=100, lcp=b"\x01\x04\x05\xb4\x05\x06\x11\x22\x33\x44"),
    Profile("cisco", framing=3, bearer=3, firmware=0x1200, vendor=b"Cisco Systems, Inc.",
            bps=(64000, 64000), window=16, first=1, first_ack=0xFFFFFFFF),
    Profile("ixload", channels=0xFFFF, vendor=b"ixia", bps=(32768, 2147483648), kinds=(1, 1),
            window=10, ack="lone"),
    Profile("mpd", framing=3, bearer=3, vendor=b"FreeBSD MPD", window=16, delay=1, first=1,
            ack="lone", goodbye="stop"),
    Profile("smartphone-nat", framing=3, bearer=3, host=b"local", vendor=b"cananian", call_id=0,
            window=3, first=1, pipelined=True, goodbye="nat"),
]


def sccrq(p):
    tail = b"\xcc" if p.rubbish else b"\0"
    host, vendor = ((s + b"\0").ljust(64, tail) if p.rubbish else s.ljust(64, b"\0")
                    for s in (p.host, p.vendor))
    return pptp.message(pptp.SCCRQ, struct.pack("!HHIIHH", 0x0100, 0, p.framing, p.bearer, p.channels,
                                                p.firmware) + host + vendor)


def ocrq(p, call_id):
    phone = (b"\xa5" if p.rubbish else b"\0") * 64
    return pptp.message(pptp.OCRQ, struct.pack("!HHIIIIHHHH", call_id, p.serial, *p.bps, *p.kinds,
                                               p.window, p.delay, 0, 0) + phone + phone)


def sli(call, maps):
    call.control.send(pptp.message(pptp.SLI, struct.pack("!HHII", call.server_id, 0, *maps)))


def set_up(target, p):
    """What clients insist on: SCCRP, then OCRP, and nothing else before or between."""
    call_id = target.call_id() if p.call_id is None else p.call_id
    if p.call_id is not None:
        target.wait_quiet(call_id)
    control = target.control()
    control.send(sccrq(p) + (ocrq(p, call_id) if p.pipelined else b""))
    reply = control.receive(pptp.SCCRP)
    expect(reply[12:16] == b"\1\0\1\0", f"version, result, error {reply[12:16].hex()}")
    if not p.pipelined:
        control.send(ocrq(p, call_id))
    reply = control.receive(pptp.OCRP)
    server_id, client_id, result, error, cause, speed, window, delay = struct.unpack_from(
        "!HHBBHIHH", reply, 12)
    expect((client_id, result, error, cause) == (call_id, 1, 0, 0), f"OCRP {reply[12:].hex()}")
    expect(server_id and speed, f"OCRP with call id {server_id}, speed {speed}")
    expect(window >= 2 and (not p.windowed or window >= 64), f"OCRP with window {window}")
    return Call(target, control, call_id, server_id, p.first, p.ack), window


def talk(call, p, window):
    for maps in p.sli:
        sli(call, maps)
    if p.first_ack is not None:
        call.send(call.frame(LCP, 9, 99, bytes(4)), ack=p.first_ack)
    call.open_lcp(p.lcp)
    for maps in p.sli_open:
        sli(call, maps)
    for n in range(12):
        call.echo(bytes(100 * n))
    if p.windowed:
        fill_window(call, window)
    check_gre(call, p)
    heard = barrier(call.control)
    expect(not heard, f"said in the middle of a call: {names(heard)}")


def fill_window(call, window):
    """Half a window at once; then nothing until all of it is acknowledged."""
    for _ in range(3):
        for _ in range(window // 2):
            call.send(call.frame(LCP, 10, 1, bytes(4)))
        newest, deadline = call.seq - 1, time.monotonic() + 30
        while call.acked is None or call.acked < newest:
            if time.monotonic() > deadline:
                raise Failed(f"number {newest} is not acknowledged: {call.acked}")
            call.receive(0.2)


def check_gre(call, p):
    """The server's packets: numbers from 0 in order, exact lengths, an id that is ours."""
    numbers = [found.seq for found, _ in call.packets if found.seq is not None]
    expect(numbers[0] in (0, 1), f"the first number is {numbers[0]}")
    expect(numbers == list(range(numbers[0], numbers[0] + len(numbers))), f"numbers {numbers}")
    if p.exact:
        for found, data in call.packets:
            size = 8 + 4 * (found.seq is not None) + 4 * (found.ack is not None)
            length = struct.unpack_from("!H", data, 24)[0]
            expect(len(data) == 20 + size + length, f"{len(data)} bytes for a length of {length}")
    expect(call.acked is not None, "nothing was acknowledged")


def hang_up(call, p):
    """As the client does; the server ends with it and closes."""
    if p.goodbye == "windows":
        sli(call, (FULL, FULL))
        call.say(LCP, TERM_REQ, b"\0\x3c\xcdt")
        call.wait_ppp(lambda protocol, code, *_: protocol == LCP and code == 6, "Terminate-Ack")
    if p.goodbye in ("windows", "ccr", "nat"):
        call.control.send(pptp.ccr(0x4711 if p.goodbye == "nat" else call.client_id))
        reply = call.control.receive(pptp.CDN)
        call_id, result = struct.unpack_from("!HB", reply, 12)
        expect(call_id == call.server_id, f"CDN for call {call_id}, not {call.server_id}")
        expect(result in (1, 4), f"CDN with result {result}")
    if p.goodbye == "tcp":
        call.control.sock.shutdown(1)
        until_closed(call.control)
        return
    call.control.send(pptp.message(pptp.STOPCCRQ, struct.pack("!BBH", 3 if p.first else 1, 0, 0)))
    said = [text(m) for m in until_closed(call.control) if pptp.kind(m) != pptp.STOPCCRQ]
    expect(said == ["StopCCRP(1/0)"], f"goodbye is answered with {said}")


def play(target, p):
    call, window = set_up(target, p)
    with call:
        talk(call, p, window)
        hang_up(call, p)


for profile in PROFILES:
    add(f"client {profile.name}", f"set-up, LCP, echos in GRE, goodbye ({profile.goodbye})",
        lambda target, p=profile: play(target, p))


# -- the client halves of captures ------------------------------------------------------

REPLAYS = pathlib.Path(__file__).resolve().parents[2] / "replay"


def parse_bytes(words):
    """As tests/replay/hex_text.h reads them."""
    data, text_, at = b"", words, 0
    while at < len(text_):
        if text_[at] == " ":
            at += 1
        elif text_[at] == '"':
            end = text_.index('"', at + 1)
            data, at = data + text_[at + 1:end].encode(), end + 1
        else:
            end = text_.find(" ", at)
            end = len(text_) if end < 0 else end
            digits, _, times = text_[at:end].partition("*")
            data, at = data + bytes.fromhex(digits) * int(times or 1), end
    return data


def steps(path):
    """('<', bytes), ('>', bytes) and ('id', the server's call id) of a replay."""
    for line in path.read_text().splitlines():
        if line[:2] in ("< ", "+ ", "> "):
            yield line[0], parse_bytes(line[2:])
        elif line.startswith("! opened"):
            yield "id", int(line.split()[3], 0)


def replay(target, path):
    """Each client message is sent, each message of the server must be of the type that the real
    conversation had. Where a server is asked (Echo) or ends by its own clock, that is left out."""
    recorded = actual = None
    with target.control() as control:
        for what, data in steps(path):
            if what == "id":
                recorded = struct.pack("!H", data)
            elif what == ">":
                wanted = pptp.kind(data)
                if wanted in (pptp.ECHORQ, pptp.STOPCCRQ) or wanted == pptp.CDN and data[14] != 4:
                    return
                try:
                    message = control.receive(wanted)
                except LabError as error:
                    raise Failed(f"{path.name}: {error}") from None
                if wanted == pptp.OCRP:
                    actual = message[12:14]
                    expect(message[14:17] == data[14:17], f"OCRP {message[12:18].hex()}")
            else:
                own = pptp.kind(data) == pptp.SLI and data[12:14] == recorded
                control.send(data[:12] + actual + data[14:] if own and actual else data)


for name in ("win10-poptop", "win7-poptop", "win2000-poptop", "pptp-linux-rras", "windows-logout"):
    add(f"replay {name}", "the client half of a public capture is answered as it was",
        lambda target, n=name: replay(target, REPLAYS / f"{n}.txt"))

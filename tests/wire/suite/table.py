"""table.txt as cases: every message in every state that a client can bring about."""

import dataclasses
import pathlib
import re
import struct

from lab import pptp

from .case import Failed, add, expect
from .target import LCP, TERM_REQ, barrier, text, until_closed

TABLE = pathlib.Path(__file__).resolve().parent.parent / "table.txt"
HEADER = {"length": (0, 2), "type": (2, 2), "magic": (4, 4), "control": (8, 2), "reserved0": (10, 2)}
PEER, OWN = 0x11, 0x77
# opening lasts shorter than a message, up and ending need a login: the unit test has them.
ON_THE_WIRE = ("wait-sccrq", "established", "waiting", "starting", "dying", "wait-stop")


@dataclasses.dataclass
class Layout:
    type: int
    length: int
    fields: dict        # name -> (offset, size)
    values: dict        # name -> default


@dataclasses.dataclass
class Row:
    text: str           # 'OCRQ window=0'
    message: str
    values: dict
    wanted: dict        # state -> what is done


def read():
    layouts, states, rows = {}, [], []
    for line in TABLE.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("message "):
            _, name, kind, length, *fields = line.split()
            layout = layouts[name] = Layout(int(kind), int(length), dict(HEADER), {})
            for field in fields:
                name, offset, size, *value = re.split("[:=]", field)
                layout.fields[name] = (int(offset), int(size))
                layout.values.update({name: v for v in value})
        elif line.startswith("states "):
            states = line.split()[1:]
        elif line.startswith("\t"):
            where, _, what = line.strip().partition(": ")
            for word in where.split():
                first, _, last = word.partition("..")
                for state in states[states.index(first):states.index(last or first) + 1]:
                    rows[-1].wanted[state] = "" if what == "-" else what
        else:
            name, *values = line.split()
            rows.append(Row(line, name, dict(v.split("=") for v in values), {}))
    return layouts, rows


def build(layouts, name, values, own):
    """The bytes of a message."""
    layout = layouts[name]
    data = bytearray(layout.length)
    everything = {"length": str(layout.length), "type": "1", "magic": "0x1a2b3c4d",
                  "control": str(layout.type), **layout.values, **values}
    for field, value in everything.items():
        number = {"peer": PEER, "own": own}.get(value)
        number = int(value, 0) if number is None else number
        offset, size = layout.fields[field]
        if size > 4:        # a long field is filled
            data[offset:offset + size] = bytes([number & 0xFF]) * size
        else:
            data[offset:offset + size] = number.to_bytes(size, "big")
    return bytes(data)


def visible(wanted, row):
    """What of the actions is seen on the wire, as a regular expression."""
    seen = []
    for word in wanted.split():
        if word.startswith("OPEN("):
            call_id = row.values.get("call_id", "0x22")
            number = int(call_id, 0)
            seen.append(rf"OCRP\(0x[0-9a-f]+,{number:#x},1/0\)" if number else
                        r"OCRP\(0x[0-9a-f]+,0,1/0\)")
        elif not re.match(r"note:|START\(|STOP\(|FREE\(", word):
            seen.append(re.escape(word))
    return " ".join(seen)


def reach(target, state):
    """(control connection, the server's id of its call or 0, what has to be closed)"""
    if state == "wait-sccrq":
        return target.control(), 0, None
    control = target.greeted()
    if state == "established":
        return control, 0, None
    call = target.call(control, call_id=PEER)
    if state == "wait-stop":
        call.open_lcp()
        call.say(LCP, TERM_REQ, b"")
        expect(pptp.kind(control.receive()) == pptp.CDN, "no CDN after LCP's end")
        expect(pptp.kind(control.receive()) == pptp.STOPCCRQ, "no StopCCRQ after the last call's CDN")
    elif state != "waiting":
        call.send(call.frame(LCP, 9, 1, bytes(4)))
        barrier(control)        # GRE was sent first, but another socket reads it
    if state == "dying":
        control.send(pptp.ccr(PEER))
        expect(pptp.kind(control.receive()) == pptp.CDN, "no CDN after CCR")
    return control, call.server_id, call.sock


def check_cell(target, layouts, row, state):
    control, own, extra = reach(target, state)
    try:
        with control:
            control.send(build(layouts, row.message, row.values, own))
            wanted = visible(row.wanted[state], row)
            closes = wanted.endswith("CLOSE")
            heard = until_closed(control) + [b""] if closes else answers(control, len(wanted.split()))
            said = " ".join(text(m, own or None) for m in heard)
            if not re.fullmatch(wanted, said):
                raise Failed(said or "nothing")
            for message in heard:
                check_accepted(message)
    finally:
        if extra:
            extra.close()


def answers(control, count):
    """An OCRP takes its time: that many messages, and what else comes before a barrier."""
    heard = []
    for _ in range(count):
        try:
            heard.append(control.receive())
        except (pptp.LabError, ConnectionError):
            return heard + [b""]
        except TimeoutError:
            break
    return heard + barrier(control)


def check_accepted(message):
    """What no OCRP may lack: Apple's client halves the window, others divide by the speed."""
    if message and pptp.kind(message) == pptp.OCRP and message[16] == pptp.OCRP_OK:
        call_id, = struct.unpack_from("!H", message, 12)
        speed, window = struct.unpack_from("!IH", message, 20)
        expect(call_id and speed and window >= 1, f"OCRP with id {call_id}, speed {speed}, "
               f"window {window}")


def check_row(target, layouts, row):
    wrong = []
    for state in ON_THE_WIRE:
        if state in row.wanted:
            try:
                check_cell(target, layouts, row, state)
            except (Failed, OSError, pptp.LabError) as error:
                wrong.append(f"in {state}: {error}")
    if wrong:
        raise Failed("; ".join(wrong))


def add_cases():
    layouts, rows = read()
    for row in rows:
        states = [s for s in ON_THE_WIRE if s in row.wanted]
        if states:
            add(f"C {row.text}", f"in {', '.join(states)}",
                lambda target, row=row: check_row(target, layouts, row))


add_cases()

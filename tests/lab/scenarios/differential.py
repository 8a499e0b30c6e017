"""The distribution's pptpd and ours with the same files, command lines and conversations.

Everything that differs must stand in tests/differential/differences.txt, and every row there must
still occur. A recorder stands in for pppd, on both sides.
"""

import contextlib
import fnmatch
import os
import re
import shutil
import signal
import socket
import struct
import subprocess

from lab import LabError, popen, processes, scenario
from lab.pptp import (CCR, CDN, COOKIE, ECHORP, ECHORQ, OCRP, OCRQ, Control, echorq, kind,
                      message, ocrq, sccrq)
from lab.processes import poll
from lab.server import POPTOP, hide_ours, write

TABLE = "/lab/repo/tests/differential/differences.txt"
CONFIGS = "/lab/repo/tests/conf"
CONF, PIDFILE, RECORDS = "/etc/diff.conf", "/run/diff.pid", "/tmp/records"
RECORDER = "/tmp/recorder"
PROGRAMS = {"pptpd": f"{POPTOP}/pptpd", "pptpctrl": "/usr/sbin/pptpd"}
CALLS = 2       # of a pool; all of it where it is that small
ICRQ, WEN, SLI, STOPCCRQ, STOPCCRP = 9, 14, 15, 3, 4

# Writes down its arguments and stays as long as a pppd would: until its channel or its parent
# ends it. What ours asks pppd when it starts is for the real one.
RECORD = f"""#!/bin/sh
case " $* " in
*" dryrun "* | " --version ") exec /usr/sbin/pppd "$@" ;;
esac
printf '%s\\n' "$@" >{RECORDS}/.$$
mv {RECORDS}/.$$ {RECORDS}/$$
[ -e /proc/self/fd/4 ] && exec sleep 1000000
exec cat >/dev/null
"""


def records():
    return set(name for name in os.listdir(RECORDS) if name[0] != ".")


class Side:
    """One of the two programs."""

    marks = 0

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.program, self.poptop = PROGRAMS[name], name == "pptpd"
        self.process, self.mark, self.controls = None, 0, []
        self.ns = lab.net.client()

    def run(self, args, **options):
        self.mark = self.lab.syslog.mark()
        shutil.rmtree(RECORDS, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(PIDFILE)
        os.mkdir(RECORDS)
        self.process = popen("srv", [self.program, *args], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT,
                             mounts=hide_ours if self.poptop else None, **options)
        self.pid, self.daemon = self.process.pid, False

    def daemonised(self):
        """The command ends; what it leaves wrote its id into the pid file. PoPToP is not ready
        by then."""
        if self.process.wait(60) == 0 and poll(lambda: self.pid_in_file(), "a pid file", 10):
            self.pid, self.daemon = self.pid_in_file(), True

    @staticmethod
    def pid_in_file():
        with contextlib.suppress(OSError, ValueError), open(PIDFILE) as handle:
            return int(handle.read())

    def has_ended(self):
        return self.process.poll() is not None and not self.daemon

    def serves(self):
        """Wait until it listens, or has ended: True or False."""
        def decided():
            if self.has_ended():
                return "ended"
            return processes.listens(self.pid, 1723) and (
                self.poptop or self.lines("connections available")) and "listens"
        return poll(decided, f"{self.name} serves or ends", 60) == "listens"

    def settled_lines(self):
        """All it has said until now: what is sent later arrives later."""
        Side.marks += 1
        mark = f"mark {Side.marks} of the lab"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.sendto(f"<6>lab: {mark}".encode(), "/dev/log")
        self.lab.syslog.wait(mark + "$")
        return self.lines()

    def lines(self, regex="."):
        found = self.lab.syslog.find(regex, self.mark, keep=lambda line: line.ident == "pptpd")
        return [line.text for line in found]

    def idle(self):
        """PoPToP drops whoever comes when a child's end interrupts its wait."""
        if self.poptop and not self.has_ended():
            poll(lambda: len(processes.descendants(self.pid)) == 1, "no child is left", 60)

    def settle(self):
        """What it has to say about a client that is gone is in the log."""
        said = r"control connection started"
        self.settled_lines()
        poll(lambda: len(self.lines(said)) <= len(self.lines("control connection finished")),
             "the connection's end in the log", 60)

    def connect(self):
        control = Control(self.ns, "198.18.0.1")
        self.controls.append(control)
        return control

    def call(self):
        """pppd's arguments for one more call."""
        before = records()
        control = self.connect()
        control.greet()
        control.call(len(self.controls))
        control.send(message(SLI, struct.pack("!HHII", len(self.controls), 0, 0, 0)))
        new = poll(lambda: records() - before, "pppd is started", 60).pop()
        with open(f"{RECORDS}/{new}") as handle:
            return handle.read().splitlines()

    def hang_up(self):
        for control in self.controls:
            control.sock.close()
        self.controls = []
        self.idle()

    def stop(self):
        """Its output and exit status."""
        self.hang_up()
        if self.daemon:
            os.kill(self.pid, signal.SIGTERM)
            poll(lambda: processes.state(self.pid) in ("", "Z"), "the daemon's end", 60)
        elif self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=60)[0].decode(errors="replace")
        return said, self.process.returncode


# -- what is compared ------------------------------------------------------------------

OURS = ("plugin pptpctrl.so pptp_client CLIENT pptp_sock 3 pptp_event 4 nodetach nopersist "
        "maxfail 1")


def arguments_of(call):
    """pppd's arguments, and apart from them what ours adds at their end."""
    text = " ".join("L:R" if re.match(r"[\d.]+:[\d.]+$", word) else word for word in call)
    text = re.sub(r"198\.18\.\d+\.\d+", "CLIENT", text)
    if text.endswith(" " + OURS):
        return {"arguments": text[:-len(OURS) - 1], "plugin": "added"}
    return {"arguments": text}


def pool_of(calls):
    return " ".join(next((word for word in one if ":" in word), "none") for one in calls)


def limit_of(lines):
    found = [re.search(r"Maximum of (\d+) connections available", line) for line in lines]
    return next((int(one[1]) for one in found if one), None)


def tidy(line):
    """A line of the log without what is never the same twice."""
    line = re.sub(r"198\.18\.\d+\.\d+", "CLIENT", line)
    line = re.sub(r"(Reaped child |Reaping child PPP\[)\d+", r"\1N", line)
    return re.sub(r"call \d+", "call N", line)


def told(lines, level="MGR: "):
    """What was said of configuration and start, without what is said every time."""
    usual = r"MGR: (Manager process (started|ended)|Maximum of \d+ connections available)"
    return [tidy(line) for line in lines if line.startswith(level) and not re.match(usual, line)]


def start_and_call(side, args):
    """Everything about one way to start it: {field: text}."""
    side.run(args)
    if PIDFILE in args and not {"-f", "--fg", "-fc"} & set(args):
        side.daemonised()
    served = side.serves()
    found = {}
    if served:
        limit = limit_of(side.settled_lines())
        calls = [side.call() for _ in range(CALLS if limit is None else min(limit, CALLS))]
        found["limit"] = str(limit)
        found["pool"] = pool_of(calls)
        found.update(arguments_of(calls[0]) if calls else {})
    said, status = side.stop()
    found["starts"] = "yes" if served else f"no, status {status}"
    found["log"] = told(side.settled_lines())
    found["output"] = said.strip() if not served else ""
    return found


def compare(mine, theirs):
    """[(field, pptpd's, ours)] of what differs. A line of PoPToP's log must be there as it is, but
    more may follow on it, and ours may say more."""
    found = []
    for field in sorted(theirs.keys() | mine.keys()):
        one, other = theirs.get(field, ""), mine.get(field, "")
        if field == "log":
            found += [(field, line, " / ".join(other)) for line in one
                      if not any(has.startswith(line) for has in other)]
        elif one != other:
            found.append((field, one, other))
    return found


class Table:
    """The intended differences."""

    def __init__(self, release):
        with open(TABLE) as handle:
            blocks = re.split(r"\n\s*\n", "\n".join(line for line in handle.read().splitlines()
                                                   if not line.startswith("#")))
        self.rows = [row for row in map(self.row, filter(str.strip, blocks))
                     if row["release"] in ("", release)]
        self.unknown = []

    @staticmethod
    def row(block):
        head, *rest = block.strip().splitlines()
        cases, field = head.rsplit(None, 1)
        row = dict(head=head, cases=cases.split(), field=field, release="", pptpd="", pptpctrl="",
                   why="", used=False)
        key = None
        for line in rest:
            found = re.match(r"\s+(pptpd|pptpctrl|release|why): *(.*)", line)
            key, text = found.groups() if found else (key, " " + line.strip())
            row[key] += text
        if not row["why"]:
            raise LabError(f"{TABLE}: {head} has no reason")
        return row

    def judge(self, case, differences):
        for field, theirs, ours in differences:
            fits = [row for row in self.rows if row["field"] == field and
                    any(fnmatch.fnmatchcase(case.replace(" ", "_"), one)
                        for one in row["cases"]) and
                    re.search(row["pptpd"], theirs, re.S) and
                    re.search(row["pptpctrl"], ours, re.S)]
            for row in fits:
                row["used"] = True
            if not fits:
                self.unknown.append(f"{case} {field}\n    pptpd: {theirs}\n    pptpctrl: {ours}")

    def unused(self, kinds):
        """Rows for these kinds of cases alone that no longer occur."""
        return [row["head"] for row in self.rows if not row["used"] and
                {one.split("/")[0] for one in row["cases"]} <= kinds]


def finish(lab, table, kinds, n):
    with open(lab.file("differences.txt"), "w") as handle:
        handle.write("\n\n".join(table.unknown))
    lab.note(f"{n} cases, {sum(row['used'] for row in table.rows)} intended differences")
    left = table.unused(kinds)
    if table.unknown or left:
        raise LabError(f"{len(table.unknown)} differences that {TABLE} does not have: " +
                       "; ".join(table.unknown[:5]) + (f"; rows that no longer occur: {left}"
                                                       if left else ""))
    lab.expect_clean()


def release():
    with open("/etc/os-release") as handle:
        return re.search(r'VERSION_ID="?(\d+)', handle.read())[1]


def both(lab):
    write(RECORDER, RECORD, 0o755)
    write("/etc/ppp/chap-secrets", "alice * wonder *\n", 0o600)
    return {name: Side(lab, name) for name in PROGRAMS}


# -- configuration files -----------------------------------------------------------------

# Of tests/conf: all kinds of lines and lists, but what needs a resolver.
FILES = """
connections-comment connections-garbage connections-huge connections-negative connections-text
connections-zero count-256 count-limit-below-list count-limit-equals-list count-list-below-limit
count-more-local count-neither count-no-localip count-no-remoteip count-one-connection-many-local
count-same count-two-local delegate delegate-connections file-binary file-empty line-509 line-510
line-bom line-case line-colon line-comment-column-1 line-crlf line-crlf-blank-value line-equals
line-first-wins line-flag-value line-hash-glued line-inline-comment line-leading-blank
line-leading-blank-bad line-long-list line-no-final-newline line-nul line-tabs line-unknown
list-blank-after-comma list-broadcast-in-range list-comment-with-address list-dash-first
list-double-comma list-duplicate list-duplicate-in-range list-duplicate-local-is-fine
list-duplicate-other-spelling list-empty list-equal-bounds list-first-octet-range list-full-range
list-full-range-guide list-garbage-after-address list-hex list-leading-comma list-long-digits
list-lost-hyphen list-lost-hyphen-alone list-missing-octet list-network-30 list-octal
list-range-and-single list-range-past-255 list-second-octet-range list-semicolon list-short-address
list-short-range-210-22 list-short-range-234-8 list-third-octet-range list-trailing-comma
list-two-dashes value-datapath-bad value-option-empty
value-option-relative value-pidfile-empty value-speed-empty value-stimeout-text
""".split()


@scenario(group="differential", needs_build=True, timeout=900)
def configuration(lab):
    """Files of tests/conf: which start, with which pool, pppd's arguments, log lines."""
    sides, table = both(lab), Table(release())
    for name in FILES:
        shutil.copy(f"{CONFIGS}/{name}.conf", CONF)
        args = ["-f", "-c", CONF, "-e", RECORDER, "-p", PIDFILE]
        found = {side: start_and_call(sides[side], args) for side in sides}
        lab.say(f"{name}: {found}")
        table.judge(f"conf/{name}", compare(found["pptpctrl"], found["pptpd"]))
    finish(lab, table, {"conf"}, len(FILES))


# -- command lines -------------------------------------------------------------------------

PLAIN = "localip 192.168.0.1\nremoteip 192.168.1.1-3\n"
# F stands for -f -c and the file; what names no pppd and no pid file gets the recorder's.
LINES = """
-f -c CONF; --fg --conf CONF; --fg --conf=CONF; -fc CONF; --fg --con CONF; -c CONF; --conf CONF -d;
F -d; F --debug; F -C 2; F --connections 2; F --connections=2; F -C 2 --connections 1; F -D;
F --delegate; F -i; F --noipparam; F --noip; F -s 9600; F --speed=57600; F --sp 4800;
F -o /etc/ppp/options; F --option /nonexistent; F -e /nonexistent; F --ppp /etc/passwd;
F -l 198.18.0.1; F -l 192.0.2.1; F -t 5; F --stimeout 3; F -w; F --logwtmp;
F words that are none; F -- -i; -v; --version; -h; --help; --nonsense; -Z; -c /nonexistent; -f -c;
F -C 0; F -C abc; F -diw; F --fg=x; F -p /run/diff.pid; F --pidfile /tmp/none/x
"""


def command_lines():
    for line in LINES.replace("\n", " ").split(";"):
        yield " ".join(line.split())


@scenario(group="differential", needs_build=True, timeout=900)
def command_line(lab):
    """Options short, long, shortened, wrong: status, output, what pppd gets."""
    sides, table = both(lab), Table(release())
    write(CONF, PLAIN)
    lines = list(command_lines())
    for line in lines:
        args = line.replace("CONF", CONF).split()
        if args[0] == "F":
            args[:1] = ["-f", "-c", CONF]
        if CONF in args or f"--conf={CONF}" in args:
            args[:0] = [] if {"-e", "--ppp"} & set(args) else ["-e", RECORDER]
            args[:0] = [] if {"-p", "--pidfile"} & set(args) else ["-p", PIDFILE]
        found = {side: start_and_call(sides[side], args) for side in sides}
        lab.say(f"{line}: {found}")
        table.judge(f"line/{line}", compare(found["pptpctrl"], found["pptpd"]))
    finish(lab, table, {"line"}, len(lines))


# -- control conversations -------------------------------------------------------------------

FORMS = {    # of the answers, after the header
    2: ("SCCRP", "!HBBIIHH64s64s", "version result error framing bearer channels firmware host "
        "vendor"),
    3: ("StopCCRQ", "!BBH", "reason r1 r2"),
    4: ("StopCCRP", "!BBH", "result error r1"),
    5: ("EchoRQ", "!I", "id"),
    6: ("EchoRP", "!IBBH", "id result error r1"),
    8: ("OCRP", "!HHBBHIHHI", "call peer result error cause speed window delay channel"),
    13: ("CDN", "!HBBHH128s", "call result error cause r1 statistics"),
}
MARKER = 0x6D61726B


def words(packet):
    """An answer, field by field; our own call id is random and its."""
    name, form, fields = FORMS.get(kind(packet), (f"type {kind(packet)}", "", ""))
    if not form or len(packet) != 12 + struct.calcsize(form):
        return f"{name} {packet.hex()}"
    values = struct.unpack_from(form, packet, 12)
    told = []
    for field, value in zip(fields.split(), values):
        if isinstance(value, bytes):
            value = value.rstrip(b"\0").decode(errors="replace")
        told.append(f"{field} {'ID' if field == 'call' else value}")
    return f"{name}({', '.join(told)}; {packet[10:12].hex()})"


def is_unread(pid, port):
    """Do bytes of a client wait at the server's end of its connection?"""
    for line in processes.read(pid, "net/tcp").splitlines()[1:]:
        columns = line.split()
        if int(columns[1].rsplit(":", 1)[1], 16) == 1723 and \
                int(columns[2].rsplit(":", 1)[1], 16) == port:
            return int(columns[4].split(":")[1], 16) > 0
    return False


def talk(side, control, messages):
    """All answers, and whether the connection is open at the end. A call is answered before
    anything else is said: ours asks another process first."""
    found, port = [], control.port

    def hear(until):
        while True:
            packet = control.receive()
            if until(packet):
                return packet
            found.append(words(packet))
    try:
        for one in messages:
            control.send(one)
            if len(one) < 12:   # the rest comes when this was seen
                poll(lambda: not is_unread(side.pid, port), "the server has looked at it", 60)
            if len(one) >= 168 and kind(one[-168:]) == OCRQ:
                found.append(words(hear(lambda packet: kind(packet) == OCRP)))
        control.send(echorq(MARKER))
        hear(lambda packet: kind(packet) == ECHORP and
             packet[12:16] == struct.pack("!I", MARKER))
        return found, "open"
    except (LabError, OSError):
        return found, "closed"


def header(length=12, kind_=1, cookie=COOKIE, type_=1):
    return struct.pack("!HHIHH", length, type_, cookie, kind_, 0)


HELLO, ASK = sccrq(), ocrq(7)
LINK_INFO = message(SLI, struct.pack("!HHII", 7, 0, 0, 0))
CONVERSATIONS = {
    "greet": [HELLO],
    "newer version": [sccrq(version=0x0200)],
    "older version": [sccrq(version=0x0001)],
    "greet twice": [HELLO, HELLO],
    "greet in two segments": [HELLO[:40], HELLO[40:]],
    "header in two segments": [HELLO[:8], HELLO[8:]],
    "short greeting": [header(12)],
    "greet and call in one segment": [HELLO + ASK],
    "call": [HELLO, ASK],
    "call and link info": [HELLO, ASK, LINK_INFO],
    "call twice": [HELLO, ASK, ocrq(8)],
    "call without greeting": [ASK],
    "clear": [HELLO, ASK, message(CCR, struct.pack("!HH", 7, 0))],
    "clear without call": [HELLO, message(CCR, struct.pack("!HH", 7, 0))],
    "stop": [HELLO, message(STOPCCRQ, struct.pack("!BBH", 1, 0, 0))],
    "stop in a call": [HELLO, ASK, message(STOPCCRQ, struct.pack("!BBH", 1, 0, 0))],
    "echo": [HELLO, echorq(0x01020304), echorq(0)],
    "echo first": [echorq(1)],
    "echo answer unasked": [HELLO, message(ECHORP, struct.pack("!IBBH", 9, 1, 0, 0))],
    "stop answer unasked": [HELLO, message(STOPCCRP, struct.pack("!BBH", 1, 0, 0))],
    "disconnect from the client": [HELLO, ASK, message(CDN, struct.pack("!HBBHH128s", 7, 1, 0, 0,
                                                                        0, b""))],
    "incoming call": [HELLO, message(ICRQ, bytes(208))],
    "error notify": [HELLO, ASK, message(WEN, bytes(28))],
    "unknown message": [HELLO, message(99, b"")],
    "bad cookie": [header(156, cookie=0x11223344) + bytes(144)],
    "bad cookie later": [HELLO, header(16, ECHORQ, cookie=0x11223344) + bytes(4)],
    "bad type": [header(156, type_=2) + bytes(144)],
    "too long": [header(221) + bytes(209)],
    "too long later": [HELLO, header(221, 99) + bytes(209)],
    "too short later": [HELLO, header(8, ECHORQ)],
}


@scenario(group="differential", needs_build=True, timeout=900)
def conversation(lab):
    """What is answered, field by field, what is closed, and the log lines."""
    sides, table = both(lab), Table(release())
    write(CONF, PLAIN.replace("1-3", "1-250"))
    found = {name: {} for name in CONVERSATIONS}
    for name, side in sides.items():
        side.run(["-f", "-c", CONF, "-e", RECORDER, "-p", PIDFILE])
        lab.expect(side.serves(), f"{name} does not start")
        for what, messages in CONVERSATIONS.items():
            side.mark = lab.syslog.mark()
            said, end = talk(side, side.connect(), messages)
            side.hang_up()
            side.settle()
            found[what][name] = {"answers": " ".join(said), "end": end,
                                 "log": told(side.settled_lines(), "")}
        side.stop()
    for what, by in found.items():
        lab.say(f"{what}: {by}")
        table.judge(f"talk/{what}", compare(by["pptpctrl"], by["pptpd"]))
    finish(lab, table, {"talk"}, len(CONVERSATIONS))

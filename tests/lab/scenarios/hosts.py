"""hosts.allow and hosts.deny, decided as libwrap does."""

import os
import re
import signal
import socket
import struct

from lab import LabError, poll, run, scenario
from lab.namespaces import inside
from lab.server import Server, has_poptop_copy, write

ALLOW, DENY = "/etc/hosts.allow", "/etc/hosts.deny"
SCCRQ = struct.pack("!HHIHHHHIIHH128x", 156, 1, 0x1A2B3C4D, 1, 0, 0x100, 0, 3, 3, 0, 0)

BAD = "/etc/hosts.bad"      # a file of patterns

# (hosts.allow, hosts.deny) where ADDRESS is the client's.
TABLES = [
    ("", ""),
    ("", "pptpd: ADDRESS\n"),
    ("", "ALL: ALL\n"),
    ("pptpd: ADDRESS\n", "ALL: ALL\n"),
    ("sshd: ADDRESS\n", "ALL: ALL\n"),
    ("", "sshd: ALL\nin.ftpd,pptpd,x : 10. 198.18.\n"),
    ("", "ALL: 198.18\n"),
    ("", "ALL: 198.18.0.0/255.255.0.0\n"),
    ("", "ALL: 198.18.0.0/16\n"),
    ("", "ALL: 198.18.0.1/16\n"),
    ("", "ALL: ADDRESS/255.255.255.255\n"),
    ("", "ALL: 198.18.*\n"),
    ("", "ALL EXCEPT sshd: ALL EXCEPT 198.18. EXCEPT ADDRESS\n"),
    ("", "ALL EXCEPT pptpd: ALL\n"),
    ("", "ALL: ALL EXCEPT ADDRESS\n"),
    ("pptpd: ALL : deny\n", ""),
    ("", "pptpd: ADDRESS : allow\nALL: ALL\n"),
    ("", "pptpd@198.18.0.1: ALL\n"),
    ("", "pptpd@192.0.2.1: ALL\n"),
    ("", "ALL: \\\n 198.18.\n"),
    ("", "ALL: ALL"),
    ("", "ALL ALL\n"),
    ("", "ALL: " + " " * 3000 + "ALL\n"),
    ("", "  # ALL: ALL\n"),
    ("", "PPTPD: all\n"),
    ("", "ALL: [::1] [2001:db8::]/32 ADDRESS\n"),
    ("", f"ALL: {BAD}\n"),
    ("", f"ALL: ALL EXCEPT 10. {BAD}\n"),
    (f"pptpd: {BAD} : deny\n", ""),
    ("", "ALL: /etc/hosts.no-such-file\n"),
]


def is_served(ns):
    """Does the server answer, or does it close?"""
    with inside(ns), socket.create_connection(("198.18.0.1", 1723), timeout=60) as control:
        try:
            control.sendall(SCCRQ)
            return bool(control.recv(156))
        except (ConnectionResetError, BrokenPipeError):
            return False


def write_table(table, address):
    for path, text in zip((ALLOW, DENY, BAD), (*table, "10.9.9.9\n\t198.19. ADDRESS\n")):
        write(path, text.replace("ADDRESS", address))


def verdicts(lab, ns, server):
    """What the server does with the client for each table; ours reads them when it starts."""
    found = []
    for table in TABLES:
        write_table(table, lab.net.addresses[ns])
        if server.pptpd == "ours" or not found:
            server.start()
        # PoPToP drops a client when the end of another one interrupts its wait.
        found.append(any(is_served(ns) for _ in range(1 if server.pptpd == "ours" else 3)))
        if server.pptpd == "ours":
            lab.expect(server.stop() == 0, "status")
    server.stop()
    return found


@scenario(group="hosts", needs_build=True)
def tables(lab):
    """The same answers as the distribution's pptpd gives, where that has libwrap."""
    if not has_poptop_copy():
        raise LabError("no pptpd of the distribution")
    ns = lab.net.client()
    ours = verdicts(lab, ns, Server(lab))
    lab.expect(True in ours and False in ours, f"ours: {ours}")
    if "libwrap" not in run(None, "ldd", "/usr/lib/lab/poptop/pptpd").stdout:
        lab.note("the distribution's pptpd has no libwrap")
    else:
        theirs = verdicts(lab, ns, Server(lab, pptpd="distribution"))
        wrong = [(table, mine, other) for table, mine, other in zip(TABLES, ours, theirs)
                 if mine != other]
        lab.expect(not wrong, f"differences (table, ours, theirs): {wrong}")
    lab.expect_clean()


@scenario(group="hosts", needs_build=True)
def refused_client(lab):
    """Closed at once with one line for many, until a reload; others are served."""
    bad, good = lab.net.client(), lab.net.client()
    write(DENY, "# one\nALL: " + lab.net.addresses[bad] + "\n")
    server = lab.server()
    for _ in range(20):
        lab.expect(not is_served(bad), "the client was served")
    lines = server.find_log(r"MGR: Client \S+ refused")
    lab.expect(len(lines) < 20 and re.search(re.escape(
        f"Client {lab.net.addresses[bad]} refused: {DENY} line 2 "), lines[0].text), f"{lines}")
    call = lab.client(good, up=True)
    os.unlink(DENY)
    server.send_signal(signal.SIGHUP)
    server.wait_log("connections available", start=server.mark, count=2)
    lab.expect(is_served(bad), "the client is refused after a reload")
    lab.ping(call.ns, server.local_ip)
    call.stop()
    server.wait_log(r"call \d+ ended")
    server.idle = poll(server.settled, "the server of after the reload is idle")
    lab.expect_clean()


@scenario(group="hosts", needs_build=True)
def needs_dns(lab):
    """A pattern that needs DNS: no start, file and line are named; check says it too."""
    write(ALLOW, "sshd: .example.com\npptpd: 198.18. LOCAL\n")
    wrong = rf'{ALLOW} line 2: "LOCAL" needs DNS, which is not asked here: write addresses'
    server = lab.server(start=False)
    server.start(wait=False)
    lab.expect(server.process.wait(60) == 1, "status")
    server.wait_log(wrong, start=server.mark)
    found = run("srv", "pptpctrl", "check", "-c", server.conf_file, check=False)
    lab.expect(found.returncode == 2 and re.search("ERROR +" + wrong, found.stdout), found.stdout)
    os.unlink(ALLOW)
    server.start()
    lab.expect(is_served(lab.net.client()), "not served")
    lab.expect(server.stop() == 0, "status")
    lab.expect_clean()

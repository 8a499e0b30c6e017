"""Limits and bans of pptpd.conf(5), LIMITS, with real logins. The decisions themselves are
tested in virtual time by tests/unit/test_admit.c."""

import json
import re

from lab import DATAPATHS, poll, pptp, run, scenario

USERS = {"alice": "wonder", "bob": "builder"}
OCRP_REFUSED = 7


def status(server):
    """What `pptpctrl status --json` says."""
    return json.loads(run(server.ns, "/usr/sbin/pptpctrl", "status", "--json").stdout)


def refused(server, what):
    return status(server)["refused"][what]


def end_of(lab, server, client, start):
    """How the server says that a client's call ended, from log position start on."""
    address = re.escape(lab.net.addresses[client.ns])
    return server.wait_log(rf"call \d+ (failed|ended): client {address}", 90, start).text


@scenario(datapaths=DATAPATHS)
def ban(lab):
    """Two wrong passwords ban a user at his address, right password or not; nobody else."""
    server = lab.server(users=USERS, conf="ban-after 2\n")
    neighbour = lab.client(user="bob", password="builder", up=True)
    ns = lab.net.client()
    for _ in range(2):
        mark = lab.syslog.mark()
        lab.client(ns, password="wrong").wait_exit()
        server.wait_log(r': auth failed peer=\S+ reason=credentials user="alice"$', start=mark)
    server.wait_log(r'banned for 600 s after failed logins, user "alice"$')
    found, = status(server)["bans"]
    lab.expect((found["user"], found["source"]) == ("alice", lab.net.addresses[ns]) and
               found["banned_ms"] > 0, f"bans: {found}")
    mark = lab.syslog.mark()
    client = lab.client(ns)
    server.wait_log(r': auth failed peer=\S+ reason=banned user="alice"$', 90, mark)
    # On the kernel path a ban acts after the login only: the call may be up for a moment.
    ends = "(failed|ended)" if lab.datapath == "kernel" else "failed"
    server.wait_log(rf"call \d+ {ends}: client {re.escape(lab.net.addresses[ns])}\b.*: banned after "
                    r'failed logins \(ban-after\), user "alice"$', 90, mark)
    client.wait_exit()
    if lab.datapath != "kernel":
        # What is not looked at cannot be right or wrong.
        lab.expect(not client.said("(CHAP authentication succeeded|authentication failed)"),
                   "the banned client was told whether its password is right")
        lab.expect(client.address is None, f"the banned client got {client.address}")
    for who in (lab.client(ns, user="bob", password="builder", up=True), lab.client(up=True)):
        lab.ping(who.ns, server.local_ip, count=1)
        who.stop()
    lab.expect("1 ban lifted" in run("srv", "/usr/sbin/pptpctrl", "unban", "user=alice").stdout,
               "unban")
    lab.client(ns, up=True).stop()
    lab.ping(neighbour.ns, server.local_ip, count=1)
    lab.expect(status(server)["bans"] == [], "a ban is left")
    neighbour.stop()
    lab.expect_clean()


@scenario(group="admission", needs_build=True)
def slower_after_failures(lab):
    """After failures a user's answers wait their time: the login is slow, and it works."""
    server = lab.server(datapath="auto", conf="ban-after 0\n")
    ns = lab.net.client()
    # The fifth wait is 8 seconds: that a client is too early is a matter of a few failures.
    for number in range(1, 16):
        lab.client(ns, password="wrong").wait_exit()
        server.wait_log(r": auth failed ", count=number)
        if refused(server, "login-delayed"):
            break
    lab.expect(refused(server, "login-delayed") > 0, "no answer came too early")
    lab.expect(refused(server, "login-failed") == number, "failures counted")
    call = lab.client(ns, up=True)
    lab.ping(call.ns, server.local_ip, count=1)
    call.stop()
    lab.expect_clean()


@scenario(group="admission", needs_build=True)
def one_call_for_each_user(lab):
    """single-session and max-calls-per-user: the new call or the old one ends, with the reason."""
    server = lab.server(datapath="auto", users=USERS, conf="single-session replace\n")
    old, other = lab.client(up=True), lab.client(user="bob", password="builder", up=True)
    new = lab.client(up=True)
    why = end_of(lab, server, old, 0)
    lab.expect("the user called again (single-session)" in why, why)
    old.wait_exit()
    lab.ping(new.ns, server.local_ip)
    lab.expect(other.running() and refused(server, "user-replaced") == 1, "bob's call")
    new.stop()
    other.stop()
    lab.expect_clean()
    server.stop()
    for conf in "single-session refuse\n", "max-calls-per-user 1\n":
        server = lab.server(datapath="auto", users=USERS, conf=conf)
        mark = lab.syslog.mark()
        old = lab.client(up=True)
        new = lab.client()
        why = end_of(lab, server, new, mark)
        lab.expect("the user has as many calls as allowed" in why, why)
        new.wait_exit()
        lab.ping(old.ns, server.local_ip)
        lab.expect(refused(server, "user-limit") == 1, "counted")
        old.stop()
        lab.expect_clean()
        server.stop()


@scenario(group="admission", needs_build=True)
def lists_and_shares(lab):
    """deny closes at once; a source with its share of calls hears busy; each is counted."""
    first, second = lab.net.client(), lab.net.client()
    server = lab.server(datapath="auto", conf=f"deny {lab.net.addresses[second]}\n"
                        "max-calls-per-source 1\n")
    with pptp.Control(second, server.address) as control:
        lab.expect(control.wait_closed() == b"", "a denied client is spoken to")
    call = lab.client(first, up=True)
    with pptp.Control(first, server.address) as control:
        control.greet()
        lab.expect(control.call()[2] == pptp.OCRP_BUSY, "a second call of the source")
    counts = status(server)["refused"]
    lab.expect((counts["denied"], counts["calls-of-source"]) == (1, 1), f"{counts}")
    server.wait_log(rf"Client {lab.net.addresses[second]} refused: allow and deny")
    call.stop()
    lab.expect_clean()


@scenario(group="admission", needs_build=True)
def guessing_source(lab):
    """Wrong passwords under many names ban an address: its calls are refused (OCRP 7)."""
    server = lab.server(datapath="auto", conf="ban-after 1\n")
    ns = lab.net.client()
    clients = [lab.client(ns, user=f"guess{number}") for number in range(4)]
    for client in clients:
        client.wait_exit()
    poll(lambda: refused(server, "source-bans") == 1, "the source is banned")
    with pptp.Control(ns, server.address) as control:
        control.greet()
        lab.expect(control.call()[2] == OCRP_REFUSED, "the result")
    call = lab.client(up=True)
    call.stop()
    lab.expect_clean()


@scenario(group="admission", needs_build=True, timeout=400)
def office(lab):
    """12 clients that are one source dial at once, after an outage: all get in at the first try."""
    server = lab.server(datapath="auto", conf="source-prefix 8\n")
    calls = [lab.client() for _ in range(12)]
    addresses = {call.wait_up(300) for call in calls}
    lab.expect(len(addresses) == 12, f"{len(addresses)} addresses")
    counts = {name: count for name, count in status(server)["refused"].items() if count}
    lab.expect(not counts, f"refused: {counts}")
    lab.note(f"{max(call.set_up_time for call in calls):.1f} s for all")
    for call in calls:
        call.process.terminate()
    for call in calls:
        call.wait_exit(300)
    lab.expect_clean(60)

"""What PoPToP's pppds, their scripts and login records were like: the same with ours."""

import contextlib
import fcntl
import glob
import os
import re
import sqlite3

from lab import LabError, poll, processes, run, scenario
from lab.namespaces import MS_BIND, mount
from lab.server import OPTIONS, write

GROUP = "contract"
WTMP, WTMPDB = "/var/log/wtmp", "/var/log/wtmp.db"
LOGWTMP = "/usr/lib/pptpd/pptpd-logwtmp.so"

# Each script of pppd writes its arguments and its environment to a file.
DUMP = """#!/bin/sh
{ for word; do echo "arg $word"; done; env | sed 's/^/env /'; } >/run/dump-%s.new
mv /run/dump-%s.new /run/dump-%s
"""
SCRIPTS = "ip-up", "ip-down"

# What may differ between two calls of one server.
OF_A_CALL = {"PPPD_PID", "CONNECT_TIME", "BYTES_SENT", "BYTES_RCVD", "DEVICE", "ORIG_UID",
             "CALL_FILE", "LLLOCAL", "LLREMOTE"}


class Dump:
    def __init__(self, name):
        path = f"/run/dump-{name}"
        poll(lambda: os.path.exists(path), f"{name} has run")
        lines = open(path).read().splitlines()
        self.args = [line[4:] for line in lines if line.startswith("arg ")]
        self.env = dict(line[4:].split("=", 1) for line in lines if line.startswith("env "))
        os.unlink(path)


def one_call(lab, ns, pptpd, secrets, **how):
    """The arguments of pppd and what its scripts got, in one call of one server."""
    server = lab.server(pptpd=pptpd, start=False, **how)
    server.start()
    write("/etc/ppp/chap-secrets", secrets, 0o600)
    call = lab.client(ns, up=True)
    up = Dump("ip-up")
    lab.expect(call.address == up.args[4], f"the client has {call.address}, ip-up {up.args}")
    pppd = [word for word in processes.title(server.pppds()[0]).split()]
    call.stop()
    down = Dump("ip-down")
    lab.expect_clean()
    server.stop()
    return pppd, up, down


def without_channel(lab, words, client):
    """Ours has a channel and what goes with it after all that PoPToP has."""
    tail = ["pptp_client", client, "pptp_sock", "3", "pptp_event", "4", "nodetach", "nopersist",
            "maxfail", "1"]
    lab.expect(words[-len(tail):] == tail, f"the end of pppd's arguments: {words}")
    words = words[:-len(tail)]
    if words[-2:] == ["plugin", "pptpctrl.so"]:
        return words[:-2]
    # With logwtmp the plugin stands where PoPToP has its own.
    return [LOGWTMP if word == "pptpctrl.so" else word for word in words]


VARIANTS = {
    "plain": {},
    "logwtmp": {"conf": "logwtmp\n"},
    "noipparam, speed": {"conf": "noipparam\nspeed 57600\n"},
    "delegate": {"conf": "delegate\n", "options": OPTIONS + "192.168.0.1:\n"},
    "client's fixed address": {},
}
FIXED = {"delegate", "client's fixed address"}


@scenario(group=GROUP, needs_build=True)
def arguments(lab):
    """pppd's arguments, and arguments and environment of ip-up and ip-down, beside PoPToP."""
    for name in SCRIPTS:
        write(f"/etc/ppp/{name}", DUMP % ((name,) * 3), 0o755)
    ns = lab.net.client()
    client = lab.net.addresses[ns]
    for title, how in VARIANTS.items():
        address = "192.168.5.77" if title in FIXED else "*"
        both = [one_call(lab, ns, pptpd, f"alice * wonder {address}\n", **how)
                for pptpd in ("distribution", "ours")]
        (theirs, their_up, their_down), (ours, our_up, our_down) = both
        lab.expect(without_channel(lab, ours, client) == theirs,
                   f"{title}: pppd of PoPToP: {theirs}; ours: {ours}")
        for name, their, our in ("ip-up", their_up, our_up), ("ip-down", their_down, our_down):
            compare_scripts(lab, f"{title}, {name}", their, our, client)
        if address != "*":
            lab.expect(our_up.args[3] == address, f"{title}: address {our_up.args[3]}")


def compare_scripts(lab, title, theirs, ours, client):
    # $2, the device: PoPToP has a pty.
    lab.expect(theirs.args[1].startswith("/dev/pts/") and ours.args[1] == f"pptp:{client}",
               f"{title}: device {theirs.args[1]} and {ours.args[1]}")
    del theirs.args[1], ours.args[1]
    lab.expect(theirs.args == ours.args, f"{title}: {theirs.args} and {ours.args}")
    lost = theirs.env.keys() - ours.env.keys() - OF_A_CALL
    lab.expect(not lost, f"{title}: no longer in the environment: {lost}")
    differ = [name for name in theirs.env.keys() & ours.env.keys() - OF_A_CALL
              if theirs.env[name] != ours.env[name]]
    lab.expect(not differ, f"{title}: other values of {differ}: {ours.env}")
    for name in "PPTP_CLIENT", "REMOTENUMBER":
        lab.expect(ours.env.get(name) == client, f"{title}: {name} is {ours.env.get(name)}")


WRAPPERS = {
    "sh, exec": '#!/bin/sh\nexec /usr/sbin/pppd "$@"\n',
    "sh, exec and more options": '#!/bin/sh\nexec pppd $* lcp-echo-interval 20\n',
    "bash, exec": '#!/bin/bash\nFOO=$(echo bar)\nexec /usr/sbin/pppd "$@"\n',
    "sh, no exec": '#!/bin/sh\n/usr/sbin/pppd "$@"\n',
}


@scenario(group=GROUP, needs_build=True)
def wrapper(lab):
    """`ppp` names a shell script that runs pppd: descriptors and arguments get through."""
    ns = lab.net.client()
    for title, text in WRAPPERS.items():
        write("/etc/ppp/wrapper", text, 0o755)
        server = lab.server(datapath="auto", conf="ppp /etc/ppp/wrapper\n")
        call = lab.client(ns, up=True)
        lab.ping(call.ns, server.local_ip, count=1)
        (pppd,) = server.pppds()
        lab.expect(f"remotenumber {lab.net.addresses[ns]}" in processes.title(pppd),
                   f"{title}: {processes.title(pppd)}")
        if "no exec" not in title:
            lab.expect(processes.title(processes.parent(pppd)).startswith("pptpd ["),
                       f"{title}: the parent is {processes.title(processes.parent(pppd))}")
        call.stop()
        server.wait_log(r'call \d+ ended: .*: client cleared the call, user "alice"',
                        start=server.mark)
        lab.expect_clean()
        server.stop()


@scenario(group=GROUP, needs_build=True)
def users_later(lab):
    """A server without any user starts, as PoPToP does, says so, and serves who comes later."""
    server = lab.server(datapath="auto", users={})
    line = server.wait_log(r"nobody can log in: /etc/ppp/chap-secrets has no user", start=server.mark)
    lab.expect(line.priority == 4, f"not a warning: {line}")
    lab.expect(not server.find_log("without a password|without encryption", server.mark),
               "it warns of a door that is shut")
    early = lab.client(ns := lab.net.client())
    early.wait_exit()
    lab.expect(early.address is None, "somebody was let in")
    write("/etc/ppp/chap-secrets", "alice * wonder *\n", 0o600)
    call = lab.client(ns, up=True)
    lab.expect(call.mppe == "128-bit stateless", f"encryption {call.mppe}")
    call.stop()
    lab.expect_clean()


# -- login records --------------------------------------------------------------

def last():
    """The lines of `last` about ppp interfaces, as scripts look for them."""
    return [line for line in run(None, "last", "-w", check=False).stdout.splitlines()
            if "ppp" in line]


def wait_last(regex):
    """Until the newest line matches; returns it."""
    try:
        return poll(lambda: [line for line in last()[:1] if re.search(regex, line)],
                    "a record is there")[0]
    except LabError:
        raise LabError(f"last does not begin with /{regex}/: {last()}") from None


def has_wtmpdb():
    return bool(glob.glob("/usr/lib/*/libwtmpdb.so.0"))


def empty_records():
    """The guest's own, which other scenarios may have used before."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(WTMPDB)
    open(WTMP, "w").close()


# last of util-linux thinks a user unknown to /etc/passwd gone, whoever wrote the record.
OPEN = r"(still logged in|gone - no logout)$"
CLOSED = r"- +\d\d:\d\d.*\(\d\d:\d\d\)$"


@scenario(group=GROUP, needs_build=True)
def logwtmp(lab):
    """Logins show in `last` as PoPToP's do: user, interface, client; domains stripped if asked."""
    empty_records()
    ns = lab.net.client()
    client = re.escape(lab.net.addresses[ns])
    strip = OPTIONS + f"plugin {LOGWTMP}\npptpd-logwtmp-strip-domain\n"
    servers = [("ours", r"CORP\\alice", OPTIONS), ("ours", "alice", strip)]
    if not has_wtmpdb():        # there PoPToP's records do not show
        servers.insert(0, ("distribution", *servers[0][1:]))
    shown = []
    for pptpd, user, options in servers:
        server = lab.server(pptpd=pptpd, users={r"CORP\\alice": "wonder"}, conf="logwtmp\n",
                            options=options)
        call = lab.client(ns, user=r"CORP\alice", up=True)
        begin = rf"^{user} +ppp0 +{client} .*"
        lines = [wait_last(begin + OPEN)]
        call.stop()
        lines += [wait_last(begin + CLOSED)]
        shown.append([re.sub(r"\d\d:\d\d", "TT:TT", line) for line in lines])
        lab.expect_clean()
        server.stop()
    lab.expect(len(last()) == len(servers), f"last shows {last()}")
    if has_wtmpdb():
        lab.expect("still logged in" in shown[0][0], f"last showed {shown[0][0]}")
    else:
        lab.expect(shown[0] == shown[1], f"last showed {shown}")


@scenario(group=GROUP, needs_build=True)
def logwtmp_off(lab):
    """Without the keyword nothing is recorded, and the plugin's options do no harm."""
    empty_records()
    server = lab.server(datapath="auto", options=OPTIONS + f"plugin {LOGWTMP}\n"
                        "pptpd-logwtmp-strip-domain\nplugin pptpctrl.so\n")
    call = lab.client(up=True)
    call.stop()
    lab.expect_clean()
    server.stop()
    lab.expect(os.path.getsize(WTMP) == 0 and not os.path.exists(WTMPDB), "records were written")


@scenario(group=GROUP, needs_build=True)
def logwtmp_stuck(lab):
    """Nobody waits for a record that cannot be written: locked files, no files at all."""
    empty_records()
    server = lab.server(datapath="auto", conf="logwtmp\n")
    call = lab.client(up=True)
    wait_last(OPEN)
    call.stop()
    wait_last(CLOSED)
    lab.expect_clean()
    with open(WTMP, "r+") as handle, wtmpdb_locked():
        fcntl.lockf(handle, fcntl.LOCK_EX)
        call = lab.client(call.ns, up=True)
        lab.ping(call.ns, server.local_ip, count=1)
        call.stop()
        server.wait_log(r"call \d+ ended: ", start=server.mark, count=2)
        lab.expect(server.pppds(), "no writer waits for the lock")
    poll(lambda: not server.pppds(), "the writers are done", 60)
    lab.expect_clean()
    server.stop()
    hide_records()
    server.start()
    notice = "neither a file /var/log/wtmp nor a library libwtmpdb.so.0"
    lab.expect(len(server.find_log(notice, server.mark)) == 1, "no notice, or more than one")
    call = lab.client(call.ns, up=True)
    call.stop()
    lab.expect_clean()
    lab.expect(not os.path.exists(WTMP), f"{WTMP} was made")


@scenario(group=GROUP, needs_build=True)
def logwtmp_killed(lab):
    """kill -9 of pppd, of its parent and then of pppd: the logout is recorded; nobody waits for it."""
    empty_records()
    server = lab.server(datapath="auto", conf="logwtmp\n")
    ns = lab.net.client()

    def logged_in():
        """The call and its pppd, once the writer of the record, another pppd, is gone."""
        call = lab.client(ns, up=True)
        wait_last(OPEN)
        alive = lambda: [pid for pid in server.pppds() if processes.state(pid) != "Z"]
        poll(lambda: len(alive()) == 1, "the record is written")
        return call, alive()[0]

    for parent_first in False, True:
        call, pppd = logged_in()
        if parent_first:
            os.kill(processes.parent(pppd), 9)
            server.wait_log("its parent process .* the call goes on", start=server.mark)
        os.kill(pppd, 9)
        wait_last(CLOSED)
        call.wait_exit()
        lab.expect_clean()
    call, pppd = logged_in()
    with open(WTMP, "r+") as handle, wtmpdb_locked():
        fcntl.lockf(handle, fcntl.LOCK_EX)
        mark = lab.syslog.mark()
        os.kill(pppd, 9)
        server.wait_log(r"call \d+ ended", start=mark)
        call.wait_exit()
        call = lab.client(ns, up=True)
        lab.ping(call.ns, server.local_ip, count=1)
    # What waited is not taken for the end of the new call.
    wait_last(OPEN)
    call.stop()
    wait_last(CLOSED)
    lab.expect_clean()


@contextlib.contextmanager
def wtmpdb_locked():
    if not has_wtmpdb():
        yield
        return
    base = sqlite3.connect(WTMPDB, isolation_level=None)
    base.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        base.execute("ROLLBACK")
        base.close()


def hide_records():
    """As on a machine that has neither; put back by empty_records() and by the next boot."""
    os.unlink(WTMP)
    for path in glob.glob("/usr/lib/*/libwtmpdb.so.0"):
        mount("/dev/null", path, flags=MS_BIND)


# -- what is left when pppd is killed --------------------------------------------

@scenario(group=GROUP, needs_build=True)
def killed(lab):
    """kill -9 of pppd: a line says that ip-down did not run, for whom and with which addresses."""
    server = lab.server(datapath="auto")
    write("/etc/ppp/chap-secrets", "'al\"ice' * wonder *\n", 0o600)
    call = lab.client(user='al"ice', up=True)
    server.wait_log(r"call \d+ up")
    iface = server.calls()[0]["interface"]
    (pppd,) = server.pppds()
    os.kill(pppd, 9)
    line = server.wait_log("ip-down did not run")
    client = lab.net.addresses[call.ns]
    expected = (rf"call \d+: pppd {pppd} was killed, ip-down did not run: {iface}, address "
                rf"{call.address}, local address {server.local_ip}, client {client}, user "
                r'"al\\x22ice"')
    lab.expect(re.fullmatch(expected, line.text), f"the line is: {line.text}")
    call.wait_exit()
    lab.expect_clean()
    call = lab.client(call.ns, user='al"ice', up=True)
    mark = lab.syslog.mark()
    call.stop()
    server.wait_log(r"call \d+ ended", start=mark)
    lab.expect(not server.find_log("ip-down did not run", mark), "said of a call that ended well")
    lab.expect_clean()


@scenario(group=GROUP, needs_build=True)
def addresses_of_users(lab):
    """Addresses from chap-secrets: nobody else gets them, and the pool's own go to others."""
    server = lab.server(datapath="auto", remote_ip="192.168.1.1-3")
    write("/etc/ppp/chap-secrets", "alice * wonder *\nbob * wonder 192.168.1.2\n"
          "carol * wonder 10.77.0.9\n", 0o600)
    calls = []
    for user, address in (("bob", "192.168.1.2"), ("alice", "192.168.1.1"),
                          ("carol", "10.77.0.9")):
        calls.append(lab.client(user=user, up=True))
        lab.expect(calls[-1].address == address, f"{user} has {calls[-1].address}")
        server.wait_log(r"call \d+ up", start=server.mark, count=len(calls))
    mark = lab.syslog.mark()
    late = lab.client(user="alice")
    server.wait_log(r"refused \(busy\)", start=mark)
    late.wait_exit()
    calls[0].stop()     # bob's address is back in the pool
    server.wait_log(r"call \d+ ended", start=mark)
    poll(lambda: len(server.calls()) == 2, "bob is gone")
    again = lab.client(late.ns, user="alice", up=True)
    lab.expect(again.address == "192.168.1.2", f"alice has {again.address}")
    for call in [*calls[1:], again]:
        call.stop()
    lab.expect_clean()

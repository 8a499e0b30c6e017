"""Logins that are refused and why, options files of PoPToP, and what is told about calls."""

import os
import re

from lab import DATAPATHS, poll, run, scenario
from lab.client import OPTIONS as CLIENT
from lab.server import OPTIONS

STATUS_SOCKET = "/run/pptpd/control"


def without(*words):
    return [word for word in CLIENT if word not in words]


class Neighbour:
    """A call that is up while others fail; it must not notice."""

    def __init__(self, lab, server):
        self.lab, self.server = lab, server
        self.client = lab.client(up=True)
        server.wait_log(r'call \d+ up: .*user "alice"')
        self.before = self.state()
        lab.ping(self.client.ns, server.local_ip, count=1)

    def state(self):
        entry = next(entry for entry in self.server.calls() if entry["user"] == "alice")
        return [entry[key] for key in ("call", "state", "address", "interface", "pid")]

    def expect_untouched(self):
        self.lab.expect(self.client.running(), "the neighbour's pppd ended")
        self.lab.expect(self.state() == self.before, f"the neighbour was {self.before}, is "
                        f"{self.state()}")
        self.lab.ping(self.client.ns, self.server.local_ip, count=2)

    def stop(self):
        self.client.stop()
        self.lab.expect_clean()


def failed(server, lab, client, user):
    """The reason of the server's line about a client's failed call, which ends with the user."""
    line = server.wait_log(rf"call \d+ failed: client {re.escape(lab.net.addresses[client.ns])}: ",
                           90).text
    reason, _, name = line.split(": ", 2)[2].partition(", user ")
    lab.expect(name == (f'"{user}"' if user else ""), f"user in: {line}")
    return reason


WRONG = "authentication failed: wrong password or unknown user"
NO_MPPE = ("the client refused, or did not answer for, the encryption (MPPE) that the options file "
           "requires")
NO_METHOD = "authentication failed: the client offers no method that the options file allows"

# What stands for log watchers behind "auth failed peer=ADDRESS ".
AUTH_FAILED = {(WRONG, "bob"): ['reason=credentials user="bob"'],
               (WRONG, "mallory"): ['reason=credentials user="mallory"'],
               (NO_MPPE, "bob"): [],
               (NO_METHOD, None): ['reason=no-method user=""']}


@scenario(datapaths=DATAPATHS)
def refused(lab):
    """Wrong password, unknown user, no MPPE, MS-CHAPv1 only: the reason; a neighbour stays up."""
    server = lab.server(users={"alice": "wonder", "bob": "builder"})
    neighbour = Neighbour(lab, server)
    cases = [
        (WRONG, "bob", lab.client(user="bob", password="guess")),
        (WRONG, "mallory", lab.client(user="mallory")),
        (NO_MPPE, "bob",
         lab.client(user="bob", password="builder", options=without("require-mppe-128"),
                    more=["nomppe"])),
        (NO_METHOD, None,
         lab.client(user="bob", password="builder", options=without("refuse-mschap"),
                    more=["refuse-mschap-v2"])),
    ]
    for expected, user, client in cases:
        reason = failed(server, lab, client, user)
        address = re.escape(lab.net.addresses[client.ns])
        said = server.find_log(rf": auth failed peer={address} ")
        lab.expect([line.text.split(" ", 3)[3] for line in said] == AUTH_FAILED[expected, user],
                   f"{[line.text for line in said]}")
        lab.expect(reason == expected, f"\"{reason}\" instead of \"{expected}\"")
        lab.expect(client.wait_exit() != 0, f"the pppd of {client.ns} ended well")
        lab.expect(client.address is None, f"{client.ns} got {client.address}")
    poll(lambda: len(server.calls()) == 1, "only the neighbour is left")
    neighbour.expect_untouched()
    neighbour.stop()


@scenario(group="login", needs_build=True)
def no_secrets_in_log(lab):
    """With debug here and in pppd no challenge and no response is logged; names are escaped."""
    server = lab.server(datapath="auto", debug=True)
    call = lab.client(up=True)
    server.wait_log(r"rcvd \[CHAP Response id=0x[0-9a-f]+ <hidden>, name = \"alice\"\]")
    secret = call.said(r"sent \[CHAP Response id=0x[0-9a-f]+ <([0-9a-f]{64,})>")
    challenge = call.said(r"rcvd \[CHAP Challenge id=0x[0-9a-f]+ <([0-9a-f]{32})>")
    lab.expect(secret and challenge, "the client's own log does not show what is to be looked for")
    call.stop()
    rude = 'x" peer=1.2.3.4 user="root'
    lab.client(user=rude, password="no").wait_exit()
    line = server.wait_log(r": auth failed ").text
    quoted = rude.replace('"', r"\x22")
    lab.expect(line.endswith(f' reason=credentials user="{quoted}"'), line)
    shown = [str(line) for line in server.find_log(f"{secret[:16]}|{challenge[:16]}|S=[0-9A-F]{{40}}")]
    lab.expect(not shown, f"the log shows {shown}")
    lab.expect_clean()


@scenario(datapaths=DATAPATHS)
def gre_blocked(lab):
    """TCP passes, GRE does not: the log says so, with the client's address; others stay up."""
    server = lab.server(options=OPTIONS + "lcp-max-configure 3\nlcp-restart 1\n")
    neighbour = Neighbour(lab, server)
    ns = lab.net.client()
    lab.net.block_gre(ns)
    client = lab.client(ns, user="bob")
    reason = failed(server, lab, client, None)
    expected = (rf"TCP is fine, no GRE from {re.escape(lab.net.addresses[ns])} in \d+ s: is IP "
                r"protocol 47 blocked, or a NAT without PPTP helper in between\?")
    lab.expect(re.fullmatch(expected, reason), f"the reason is: {reason}")
    client.wait_exit()
    neighbour.expect_untouched()
    neighbour.stop()


# -- options files ------------------------------------------------------------------

POPTOP_OPTIONS = """
name pptpd
lock
crtscts
nocrtscts
xonxoff
modem
local
asyncmap 0
escape 1,2
115200
nodetach
auth
refuse-pap
refuse-chap
refuse-mschap
require-mschap-v2
require-mppe-128
ms-dns 10.1.2.3
proxyarp
nodefaultroute
nobsdcomp
nodeflate
novj
novjccomp
noipx
mtu 1450
mru 1450
lcp-echo-interval 30
lcp-echo-failure 4
nologfd
dump
"""


@scenario(datapaths=DATAPATHS)
def poptop_options(lab):
    """An options file of PoPToP with all its tty options in it works unchanged."""
    server = lab.server(options=POPTOP_OPTIONS)
    call = lab.client(up=True, more=["usepeerdns"])
    lab.expect(call.mppe == "128-bit stateless", f"encryption {call.mppe}")
    call.wait_log(r"primary   DNS address 10\.1\.2\.3")
    iface = re.search(r" (ppp\d+),", server.wait_log(r"call \d+ up: ").text).group(1)
    mtu = re.search(r"mtu (\d+)", run("srv", "ip", "link", "show", iface).stdout).group(1)
    lab.expect(mtu == "1446", f"mtu {mtu}")     # MPPE needs 4
    lab.ping(call.ns, server.local_ip, size=1400)
    call.stop()
    lab.expect_clean()


@scenario(datapaths=DATAPATHS)
def open_door(lab):
    """Options that let in without password and encryption: warned of at start and at login."""
    server = lab.server(options="noauth\nnomppe\nnologfd\n")
    for what in "without a password", "without encryption":
        lab.expect(server.find_log(rf"options\.pptpd lets clients in {what}", server.mark),
                   f"no warning at start: {what}")
    call = lab.client(up=True, options=["nodetach", "noauth", "nomppe", "debug", "noipdefault",
                                        "nodefaultroute"])
    client = re.escape(lab.net.addresses[call.ns])
    for what in "was let in without a password", "is not encrypted":
        line = server.wait_log(rf"call \d+: client {client} {what}")
        lab.expect(line.priority == 4, f"not a warning: {line}")
    lab.ping(call.ns, server.local_ip)
    entry = server.calls()[0]       # up, or there were no warnings
    said = entry["authentication"], entry["encryption"]
    lab.expect(said == ("no authentication", "no encryption"), f"listed: {said}")
    call.stop()
    lab.expect_clean()
    server.stop()
    server.options = "auth\nrequire-pap\nrequire-mschap-v2\nrequire-mppe-128\nnologfd\n"
    server.start()
    lab.expect(server.find_log(r"lets clients use PAP", server.mark), "no warning about PAP")


# -- what is told about a call ------------------------------------------------------

SIZE = 200_000


@scenario(datapaths=DATAPATHS)
def told(lab):
    """list, list --json, ps and the log lines of a call say all there is to say."""
    server = lab.server()
    call = lab.client(up=True)
    client = lab.net.addresses[call.ns]
    lab.transfer(call.ns, "srv", server.local_ip, SIZE)
    up = server.wait_log(r"call \d+ up: ").text
    entry = expect_listed(lab, server, call, client)
    expect_titles(lab, server, entry, client)
    expected = (
        rf"call {entry['call']} up: client {client}, address 192\.168\.1\.1, {entry['interface']}, "
        rf"MS-CHAPv2, MPPE-128 stateless, datapath {lab.datapath}, set up in \d+\.\d\d\d s, "
        r'user "alice"')
    lab.expect(re.fullmatch(expected, up), f"when it was up the log said: {up}")
    call.stop()
    ended = server.wait_log(
        rf"call {entry['call']} ended: client {client}, address 192\.168\.1\.1, "
        rf"{entry['interface']}, \d+ s, \d+ bytes in, \d+ bytes out: client cleared the call, "
        r'user "alice"$')
    moved = [int(n) for n in re.findall(r"(\d+) bytes", ended.text)]
    lab.expect(min(moved) > SIZE, f"{moved} bytes in and out of {SIZE}")
    lab.expect_clean()
    lab.expect(server.calls() == [], f"still listed: {server.calls()}")


def expect_listed(lab, server, call, client):
    entries = server.calls()
    lab.expect(len(entries) == 1, f"listed: {entries}")
    entry = entries[0]
    expected = {"state": "up", "user": "alice", "client": client, "server": server.address,
                "address": call.address, "local_address": server.local_ip,
                "datapath": lab.datapath, "authentication": "MS-CHAPv2",
                "encryption": "MPPE-128 stateless"}
    for key, value in expected.items():
        lab.expect(entry[key] == value, f"{key} is {entry[key]}, not {value}")
    lab.expect(min(entry["rx_bytes"], entry["tx_bytes"]) > SIZE, f"traffic: {entry}")
    lab.expect(0 < entry["up_ms"] <= entry["age_ms"], f"age: {entry}")
    run("srv", "ip", "link", "show", entry["interface"])
    rows = run(None, "pptpctrl", "list").stdout.splitlines()
    row = (rf" *{entry['call']} +up +{client} +{call.address} +{entry['interface']} +\d+:\d\d:\d\d "
           r"+\d+ +\d+ +alice")
    lab.expect(len(rows) == 2 and re.fullmatch(row, rows[1]), f"list says: {rows}")
    return entry


def expect_titles(lab, server, entry, client):
    """Panels for PoPToP look for its per-call process, and read pppd's arguments."""
    ps = {pid: (parent, title) for pid, parent, title in server.ps()}
    pppd = server.pppds()[0]
    parent, command = ps[pppd]
    title = f"pptpd [{client}:{entry['peer_call']:04X} - {entry['call']:04X}]"
    lab.expect(ps[parent] == (server.process.pid, title), f"pppd's parent is {ps[parent]}")
    lab.expect(entry["pid"] == parent, f"list has pid {entry['pid']}, not {parent}")
    expected = (f"/usr/sbin/pppd local file {server.options_file} 115200 "
                f"{server.local_ip}:{entry['address']} ipparam {client} remotenumber {client} "
                f"plugin pptpctrl.so pptp_client {client} pptp_sock 3 pptp_event 4 "
                "nodetach nopersist maxfail 1")
    lab.expect(command == expected, f"pppd's arguments: {command}")


@scenario(group="login", needs_build=True)
def only_root_may_ask(lab):
    """list and terminate are denied to others by the socket's mode and by their credentials."""
    server = lab.server(datapath="auto")
    call = lab.client(up=True)
    server.wait_log(r"call \d+ up: ")
    for mode, words in (0o600, "Permission denied (only root may ask)"), (0o666, "only root may ask"):
        os.chmod(STATUS_SOCKET, mode)
        for command in ["list"], ["list", "--json"], ["terminate", "all"]:
            done = run(None, "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                       "pptpctrl", *command, check=False)
            lab.expect(done.returncode == 1 and words in done.stderr and "alice" not in done.stdout,
                       f"{command} with mode {mode:o}: {done}")
    lab.ping(call.ns, server.local_ip, count=1)
    call.stop()
    lab.expect_clean()


@scenario(group="login", needs_build=True)
def same_address_again(lab):
    """Two users who log on in the other order get the addresses that they had."""
    server = lab.server(datapath="auto", users={"alice": "wonder", "bob": "builder"})
    passwords = {"alice": "wonder", "bob": "builder"}
    for users in ("alice", "bob"), ("bob", "alice"):
        calls = [lab.client(user=user, password=passwords[user], up=True) for user in users]
        poll(lambda: [entry["state"] for entry in server.calls()] == ["up", "up"], "both are up")
        addresses = {call.user: call.address for call in calls}
        lab.expect(addresses == {"alice": "192.168.1.1", "bob": "192.168.1.2"}, f"{addresses}")
        listed = {entry["user"]: entry["address"] for entry in server.calls()}
        lab.expect(listed == addresses, f"listed: {listed}")
        for call in calls:
            call.stop()
        lab.expect_clean()

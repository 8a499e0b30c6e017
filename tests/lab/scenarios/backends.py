"""Users kept elsewhere: sites with `plugin radius.so` or `plugin winbind.so` in the options file."""

import os
import re
import shutil
import subprocess

from lab import poll, popen, scenario
from lab.logs import ProgramLog
from lab.server import OPTIONS, write

GROUP = "backend"
SECRET = "shared"
RADDB, RADIUS_OUT, CLIENT_CONF = "/etc/lab-radius", "/run/radius", "/etc/radiusclient"

# -- RADIUS ---------------------------------------------------------------------

RADIUSD = f"""
prefix = /usr
libdir = /usr/lib/freeradius
raddbdir = {RADDB}
db_dir = {RADIUS_OUT}
run_dir = {RADIUS_OUT}
logdir = {RADIUS_OUT}
pidfile = {RADIUS_OUT}/pid
security {{
	reject_delay = 0
	status_server = no
}}
client lab {{
	ipaddr = 127.0.0.1
	secret = {SECRET}
}}
modules {{
	mschap {{
		use_mppe = yes
		require_encryption = yes
		require_strong = yes
	}}
	files {{
		filename = {RADDB}/users
	}}
	detail {{
		filename = {RADIUS_OUT}/detail
		header = "%t"
	}}
}}
server default {{
	listen {{
		type = auth
		ipaddr = 127.0.0.1
		port = 1812
	}}
	listen {{
		type = acct
		ipaddr = 127.0.0.1
		port = 1813
	}}
	authorize {{
		mschap
		files
	}}
	authenticate {{
		Auth-Type MS-CHAP {{
			mschap
		}}
	}}
	accounting {{
		detail
	}}
}}
"""

RADIUS_USERS = """
carol Cleartext-Password := "sing"
	Framed-IP-Address = 10.77.0.5,
	Framed-IP-Netmask = 255.255.255.255

dave Cleartext-Password := "drum"
"""

# What pppd's radius.so reads; its own libradiusclient takes no other path by default.
RADIUS_CLIENT = f"""
auth_order radius
login_tries 4
login_timeout 60
nologin /etc/nologin
issue {CLIENT_CONF}/issue
authserver 127.0.0.1:1812
acctserver 127.0.0.1:1813
servers {CLIENT_CONF}/servers
dictionary {CLIENT_CONF}/dictionary
login_radius /usr/sbin/login.radius
seqfile /run/radius.seq
mapfile {CLIENT_CONF}/port-id-map
default_realm
radius_timeout 10
radius_retries 3
login_local /bin/login
"""

DICTIONARY = """
ATTRIBUTE User-Name 1 string
ATTRIBUTE NAS-IP-Address 4 ipaddr
ATTRIBUTE NAS-Port 5 integer
ATTRIBUTE Service-Type 6 integer
ATTRIBUTE Framed-Protocol 7 integer
ATTRIBUTE Framed-IP-Address 8 ipaddr
ATTRIBUTE Framed-IP-Netmask 9 ipaddr
ATTRIBUTE Class 25 string
ATTRIBUTE Calling-Station-Id 31 string
ATTRIBUTE NAS-Identifier 32 string
ATTRIBUTE Acct-Status-Type 40 integer
ATTRIBUTE Acct-Delay-Time 41 integer
ATTRIBUTE Acct-Input-Octets 42 integer
ATTRIBUTE Acct-Output-Octets 43 integer
ATTRIBUTE Acct-Session-Id 44 string
ATTRIBUTE Acct-Authentic 45 integer
ATTRIBUTE Acct-Session-Time 46 integer
ATTRIBUTE Acct-Input-Packets 47 integer
ATTRIBUTE Acct-Output-Packets 48 integer
ATTRIBUTE Acct-Terminate-Cause 49 integer
ATTRIBUTE NAS-Port-Type 61 integer
VENDOR Microsoft 311
ATTRIBUTE MS-CHAP-Response 1 string Microsoft
ATTRIBUTE MS-CHAP-Error 2 string Microsoft
ATTRIBUTE MS-MPPE-Encryption-Policy 7 string Microsoft
ATTRIBUTE MS-MPPE-Encryption-Types 8 string Microsoft
ATTRIBUTE MS-CHAP-Challenge 11 string Microsoft
ATTRIBUTE MS-MPPE-Send-Key 16 string Microsoft
ATTRIBUTE MS-MPPE-Recv-Key 17 string Microsoft
ATTRIBUTE MS-CHAP2-Response 25 string Microsoft
ATTRIBUTE MS-CHAP2-Success 26 string Microsoft
"""


def start_radius(lab):
    for folder in RADDB, RADIUS_OUT, CLIENT_CONF:
        os.makedirs(folder, exist_ok=True)
    write(f"{RADDB}/radiusd.conf", RADIUSD)
    write(f"{RADDB}/users", RADIUS_USERS)
    write(f"{RADDB}/dictionary", "")
    write(f"{CLIENT_CONF}/radiusclient.conf", RADIUS_CLIENT)
    write(f"{CLIENT_CONF}/dictionary", DICTIONARY)
    write(f"{CLIENT_CONF}/servers", f"127.0.0.1 {SECRET}\n", 0o600)
    write(f"{CLIENT_CONF}/port-id-map", "")
    # radius.so looks up its own host's name for NAS-IP-Address.
    write("/etc/hosts", f"127.0.0.1 localhost\n198.18.0.1 {os.uname().nodename}\n")
    process = popen("srv", ["freeradius", "-d", RADDB, "-X"], stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT)
    log = ProgramLog(lab.file("freeradius.log"), process, "freeradius")
    log.wait("Ready to process requests", 90)
    return process


class Account:
    """The records that the accounting server wrote, one dictionary each."""

    def __init__(self):
        self.seen = 0

    def records(self):
        if not os.path.exists(f"{RADIUS_OUT}/detail"):
            return []
        blocks = open(f"{RADIUS_OUT}/detail").read().split("\n\n")[:-1]
        return [dict(re.findall(r'^\t(\S+) = "?(.*?)"?$', block, re.M)) for block in blocks]

    def next(self, status):
        found = poll(lambda: self.records()[self.seen:], f"accounting has a {status} record", 60)[0]
        self.seen += 1
        assert found["Acct-Status-Type"] == status, found
        return found


def radius_call(lab, account, ns, user, password):
    """One call with its two accounting records."""
    call = lab.client(ns, user=user, password=password, up=True)
    lab.expect(call.mppe == "128-bit stateless", f"{user}: encryption {call.mppe}")
    # pppd counts from there on: the client may be up before.
    start = account.next("Start")
    lab.ping(call.ns, "192.168.0.1", count=3, size=600)
    call.stop()
    stop = account.next("Stop")
    lab.expect_clean()
    for record in start, stop:
        said = [record.get(name) for name in ("User-Name", "Framed-IP-Address",
                                              "Calling-Station-Id")]
        lab.expect(said == [user, call.address, lab.net.addresses[call.ns]],
                   f"{user}: accounting says {record}")
    lab.expect(min(int(stop[f"Acct-{way}put-Octets"]) for way in ("In", "Out")) > 600,
               f"{user}: accounted bytes: {stop}")
    return call, start, stop


RADIUS_OPTIONS = OPTIONS + "plugin radius.so\nplugin radattr.so\n"
KNOWN = (("carol", "sing", "10.77.0.5"), ("dave", "drum", "192.168.1.1"))


@scenario(group=GROUP, needs_build=True)
def radius(lab):
    """FreeRADIUS: MPPE keys, its address or the pool's, accounting start and stop, as PoPToP."""
    radiusd = start_radius(lab)
    account, names = Account(), {}
    ns = lab.net.client()
    for pptpd in "distribution", "ours":
        server = lab.server(pptpd=pptpd, options=RADIUS_OPTIONS, users={})
        server.idle[radiusd.pid] = 0    # its sockets are no leftovers
        for user, password, address in KNOWN:
            call, start, stop = radius_call(lab, account, ns, user, password)
            lab.expect(call.address == address, f"{user} has {call.address}")
            names.setdefault(user, []).append((start.keys(), stop.keys()))
        if pptpd == "distribution":
            server.stop()
    for user, (theirs, ours) in names.items():
        lab.expect(theirs == ours, f"{user}: attributes with PoPToP {theirs}, with ours {ours}")
    refused = lab.client(ns, user="carol", password="wrong")
    server.wait_log(r"authentication failed")
    refused.wait_exit()
    lab.expect(refused.address is None, "a wrong password was let in")
    lab.expect_clean()
    # The address that RADIUS gave carol frees the pool's for dave.
    server.stop()
    server.remote_ip = "192.168.1.1-2"
    server.start()
    server.idle[radiusd.pid] = 0
    calls = [lab.client(user=user, password=password, up=True)
             for user, password in (("carol", "sing"), ("dave", "drum"))]
    addresses = [call.address for call in calls]
    lab.expect(addresses == ["10.77.0.5", "192.168.1.1"], f"addresses: {addresses}")
    for call in calls:
        call.stop()
    lab.expect_clean()
    radiusd.terminate()
    radiusd.wait(30)


@scenario(group=GROUP, systemd=True)
def radius_confined(lab):
    """FreeRADIUS with what the unit leaves to pppd: addresses, accounting, a refusal."""
    radiusd = start_radius(lab)
    account, ns = Account(), lab.net.client()
    server = lab.service(datapath="auto", options=RADIUS_OPTIONS, users={})
    server.idle[radiusd.pid] = 0
    for user, password, address in KNOWN:
        call, _, _ = radius_call(lab, account, ns, user, password)
        lab.expect(call.address == address, f"{user} has {call.address}")
    refused = lab.client(ns, user="carol", password="wrong")
    server.wait_log(r"authentication failed")
    refused.wait_exit()
    server.stop()
    radiusd.terminate()
    radiusd.wait(30)
    shutil.rmtree(RADIUS_OUT)


# -- Active Directory by winbind ---------------------------------------------------

# Stands for Samba's program: it knows alice, and the session key that her password gives
# (MD4 of MD4 of "wonder" in UTF-16). A wrong key could not pass: the client checks the
# server's answer, which is made with it, and MPPE starts from it.
NTLM_AUTH = """#!/usr/bin/python3
import base64, sys
fields = {}
for line in sys.stdin:
    line = line.rstrip("\\n")
    if line == ".":
        break
    name, _, value = line.partition(": ")
    if name.endswith(":"):
        name, value = name[:-1], base64.b64decode(value).decode()
    fields[name] = value
open("/run/ntlm_auth.log", "a").write(repr(fields) + "\\n")
user = fields.get("Username") or fields["Full-Username"]
if user.split("\\\\")[-1] == "alice" and len(fields["NT-response"]) == 48:
    print("Authenticated: Yes\\nUser-session-key: 14DD50A0F97010322FFAC952E3E8F838\\n.", flush=True)
else:
    print("Authenticated: No\\nAuthentication-Error: Wrong Password\\n.", flush=True)
"""


@scenario(group=GROUP, needs_build=True)
def winbind(lab):
    """winbind.so with a stand-in for ntlm_auth: keys, domain users, a refusal."""
    expect_winbind(lab, lab.server)


@scenario(group=GROUP, systemd=True, long=True)
def winbind_confined(lab):
    """The same with what the unit leaves to pppd."""
    expect_winbind(lab, lab.service)
    os.unlink("/run/ntlm_auth.log")


def expect_winbind(lab, start):
    write("/etc/ppp/ntlm_auth", NTLM_AUTH, 0o755)
    options = OPTIONS + ("plugin winbind.so\nntlm_auth-helper "
                         '"/etc/ppp/ntlm_auth --helper-protocol=ntlm-server-1"\n')
    server = start(datapath="auto", options=options, users={})
    ns = lab.net.client()
    for user in "alice", r"CORP\\alice":
        call = lab.client(ns, user=user, up=True)
        lab.expect(call.mppe == "128-bit stateless", f"{user}: encryption {call.mppe}")
        lab.expect(call.address == "192.168.1.1", f"{user} has {call.address}")
        lab.ping(call.ns, server.local_ip, size=600)
        call.stop()
        lab.expect_clean()
    asked = open("/run/ntlm_auth.log").read()
    lab.expect("CORP" in asked and "LANMAN-Challenge" in asked, f"ntlm_auth was asked {asked}")
    refused = lab.client(ns, user="mallory")
    server.wait_log(r'authentication failed.*mallory')
    refused.wait_exit()
    lab.expect(refused.address is None, "mallory was let in")
    lab.expect_clean()

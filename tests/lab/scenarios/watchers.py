"""Log watchers and panels of PoPToP's sites: fail2ban's filters, Webmin's way to find calls."""

import os
import re
import shutil
import signal

from lab import poll, processes, run, scenario
from lab.server import write

GROUP = "watchers"
CONTRIB, OURS = "/lab/repo/contrib/fail2ban/filter.d", "/etc/fail2ban/filter.d/pptpctrl.conf"

# The filter that users of PoPToP pass on to one another, in its two forms: a control
# connection that was started is a failure unless pppd lets its client in. The first keeps the
# lines of a client together by its address, the second by the process id.
BY_ADDRESS = r"""
[Definition]
prefregex = ^\s*(?:\S+ )?ppt?pd\[[^\]]+\]: <F-CONTENT>.+</F-CONTENT>$
failregex = ^CTRL: Client <F-MLFID>\S+</F-MLFID> control connection started
            ^CTRL: Client <F-MLFID><ADDR></F-MLFID> control connection <F-NOFAIL><F-MLFFORGET>finished</F-MLFFORGET></F-NOFAIL>
            ^peer from calling number <F-MLFID><ADDR></F-MLFID> <F-MLFGAINED>authorized</F-MLFGAINED>
"""
BY_PROCESS = r"""
[Definition]
prefregex = ^\s*(?:\S+ )?pptpd\[<F-MLFID>\d+</F-MLFID>\]: <F-CONTENT>.+</F-CONTENT>$
failregex = ^CTRL: Client <ADDR> control connection <F-NOFAIL>started</F-NOFAIL>
            ^CTRL: Starting call \(launching pppd, opening GRE\)$
            ^CTRL: Client \S+ control connection <F-NOFAIL><F-MLFFORGET>finished</F-MLFFORGET></F-NOFAIL>
"""


def syslog_file(lab, start):
    """What rsyslog would have written."""
    path = lab.file("messages")
    lines = [line for line in lab.syslog.lines[start:] if lab.syslog.is_servers(line)]
    write(path, "".join(f"Nov 25 12:{n // 60 % 60:02}:{n % 60:02} host {line.ident}[{line.pid}]: "
                        f"{line.text}\n" for n, line in enumerate(lines)))
    return path


def caught(log, filter_file):
    """The addresses that fail2ban would count, one for each failure."""
    done = run(None, "fail2ban-regex", "-o", "ip", log, filter_file, check=False, timeout=120)
    return re.findall(r"(?m)^[\d.]+$", done.stdout)


def history(lab, pptpd, clients):
    """A good login, two bad ones at once, a login with a name that is made to mislead."""
    server = lab.server(pptpd=pptpd, users={"alice": "wonder"})
    good, bad, other = clients
    call = lab.client(good, up=True)
    failing = [lab.client(ns, user=user, password="guess") for ns, user in
               ((bad, "bob"), (other, "x peer=192.0.2.9 reason=credentials"))]
    for client in failing:
        client.wait_exit()
    call.stop()
    server.wait_log(r"control connection finished", count=3, start=server.mark)
    lab.expect_clean()
    log = syslog_file(lab, server.mark)
    server.stop()
    return log


@scenario(group=GROUP, needs_build=True, timeout=300)
def fail2ban(lab):
    """Filters made for PoPToP find the same addresses in our log; ours finds the failed logins."""
    write("/tmp/by-address.conf", BY_ADDRESS)
    write("/tmp/by-process.conf", BY_PROCESS)
    clients = [lab.net.client() for _ in range(3)]
    good, bad, other = (lab.net.addresses[ns] for ns in clients)
    theirs = history(lab, "distribution", clients)
    ours = history(lab, "ours", clients)
    for name in "by-address", "by-process":
        found = [sorted(caught(log, f"/tmp/{name}.conf")) for log in (theirs, ours)]
        lab.expect(found[0] == found[1] and found[0],
                   f"{name}: in PoPToP's log {found[0]}, in ours {found[1]}")
    lab.expect(good not in caught(ours, "/tmp/by-address.conf"), "the good client was caught")
    shutil.copy(f"{CONTRIB}/pptpctrl.conf", OURS)
    found = sorted(caught(ours, OURS))
    lab.expect(found == sorted([bad, other]), f"our filter finds {found}")
    expect_grouped(lab, ours, (good, bad, other))


def expect_grouped(lab, log, addresses):
    """Each client's lines have one number of their own."""
    text, numbers = open(log).read(), {}
    for address in addresses:
        for what in "started", "finished":
            found = re.findall(rf"pptpd\[(\d+)\]: CTRL: Client {re.escape(address)} control "
                               rf"connection {what}", text)
            lab.expect(len(found) == 1, f"{what} of {address}: {found}")
            numbers.setdefault(address, set()).add(found[0])
    lab.expect(sorted(map(len, numbers.values())) == [1] * len(addresses) and
               len(set.union(*numbers.values())) == len(addresses), f"numbers: {numbers}")
    for number in set.union(*numbers.values()):
        lab.expect(re.search(rf"pptpd\[{number}\]: CTRL: Starting call", text),
                   f"no start with number {number}")


# -- panels ------------------------------------------------------------------------

def webmin_list():
    """As Webmin's module lists calls: [(parent, client, interface's two addresses)]."""
    found = []
    for pid in processes.pids():
        title = re.search(r"pptpd\s*\[([0-9\.]+)", processes.title(pid))
        for child in processes.pids() if title else ():
            args = processes.title(child)
            if processes.parent(child) == pid and re.match(r"\S*pppd", args):
                ends = re.search(r"([0-9.]+):([0-9.]+)", args)
                found.append((pid, title.group(1), ends.group(1), ends.group(2)))
    return found


@scenario(group=GROUP, needs_build=True)
def webmin(lab):
    """Webmin's method finds each call with both servers, and its way to end one works."""
    clients = [lab.net.client() for _ in range(2)]
    for pptpd in "distribution", "ours":
        server = lab.server(pptpd=pptpd, args=["-p", "/run/pptpd.pid"])
        version = run(None, server.program(), "--version").stdout
        lab.expect(re.search(r"(PoPToP|pptpd)\s+v?(\S+)", version), f"version: {version}")
        pid = int(poll(lambda: os.path.exists("/run/pptpd.pid") and open("/run/pptpd.pid").read(),
                       "the pid file is there"))
        lab.expect(pid == server.process.pid, f"the pid file has {pid}")
        calls = [lab.client(ns, up=True) for ns in clients]
        found = webmin_list()
        expected = {(lab.net.addresses[call.ns], server.local_ip, call.address) for call in calls}
        lab.expect({entry[1:] for entry in found} == expected, f"{pptpd}: Webmin sees {found}")
        ended = next(entry for entry in found if entry[1] == lab.net.addresses[clients[0]])
        os.kill(ended[0], signal.SIGTERM)
        calls[0].wait_exit()
        poll(lambda: len(webmin_list()) == 1, "Webmin sees the other call alone")
        lab.ping(clients[1], server.local_ip, count=1)
        calls[1].stop()
        lab.expect_clean()
        server.stop()
        os.path.exists("/run/pptpd.pid") and os.unlink("/run/pptpd.pid")

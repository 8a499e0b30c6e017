"""Other users of GRE and L2TP on the server's machine: neither side disturbs the other."""

import os
import re
import signal
import subprocess

from lab import DATAPATHS, LabError, ip, popen, processes, run, scenario
from lab.logs import ProgramLog
from lab.server import OPTIONS

QUICK = OPTIONS + "lcp-echo-interval 1\nlcp-echo-failure 2\n"


class Pinger:
    """Pings all the time; no answer may be missing."""

    def __init__(self, lab, ns, address):
        self.what = f"{ns} to {address}"
        self.process = popen(ns, ["ping", "-n", "-i", "0.1", address], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        self.log = ProgramLog(lab.file(f"ping-{ns}.log"), self.process, "ping")
        self.goes_on()

    def goes_on(self):
        """Some more answers come from now on."""
        self.log.wait(r"bytes from", start=self.log.mark(), count=3)

    def stop(self):
        """Fails when an answer was missing between others."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.log.thread.join(10)
        text = "\n".join(line.text for line in self.log.lines)
        seen = [int(n) for n in re.findall(r"icmp_seq=(\d+) ttl", text)]
        missing = set(range(1, max(seen) + 1)) - set(seen)
        if missing or len(seen) != len(set(seen)):
            raise LabError(f"ping {self.what}: answers {sorted(missing)} of {max(seen)} missing, "
                           f"or some came twice: {text[-300:]}")


def life_of_a_server(lab, pingers, client=None):
    """Starts, serves a call, stops; the neighbours' traffic goes on in each state."""
    server = lab.server(options=QUICK)
    for pinger in pingers:
        pinger.goes_on()
    call = lab.client(client, up=True)
    lab.ping(call.ns, server.local_ip)
    lab.transfer(call.ns, "srv", server.local_ip, 300_000)
    for pinger in pingers:
        pinger.goes_on()
    call.stop()
    server.wait_log(r"call \d+ ended", start=server.mark)
    for pinger in pingers:
        pinger.goes_on()
    lab.expect(server.stop() == 0, "the server's exit status is not 0")
    for pinger in pingers:
        pinger.goes_on()


@scenario(datapaths=DATAPATHS)
def other_gre(lab):
    """Plain and keyed GRE tunnels between the same two machines carry on, and so does the call."""
    peer = lab.net.client()
    run(None, "modprobe", "-a", "ip_gre")
    ends = {"srv": lab.net.addresses["srv"], peer: lab.net.addresses[peer]}
    for ns, other, last in (("srv", peer, 1), (peer, "srv", 2)):
        ip(ns, f"link add gre9 type gre local {ends[ns]} remote {ends[other]} ttl 64",
           f"link add egre9 type gretap local {ends[ns]} remote {ends[other]} key 7 ttl 64",
           f"addr add 10.99.1.{last}/30 dev gre9", f"addr add 10.99.2.{last}/30 dev egre9",
           "link set gre9 up", "link set egre9 up")
    pingers = [Pinger(lab, "srv", "10.99.1.2"), Pinger(lab, peer, "10.99.2.1")]
    life_of_a_server(lab, pingers, client=peer)
    for pinger in pingers:
        pinger.stop()
    lab.expect_clean()


@scenario(datapaths=DATAPATHS)
def pptp_client_beside(lab):
    """The server's machine is a PPTP client elsewhere: its call lives through ours, and new ones
    come up beside ours."""
    far = lab.net.client()
    lab.server(pptpd="distribution", ns=far, local_ip="192.168.50.1",
               remote_ip="192.168.51.1-9", options=QUICK)
    outer = lab.client("srv", server=lab.net.addresses[far], up=True)
    pinger = Pinger(lab, "srv", "192.168.50.1")
    life_of_a_server(lab, [pinger])
    pinger.stop()
    server = lab.server(options=QUICK)
    call = lab.client(up=True)
    pinger = Pinger(lab, call.ns, server.local_ip)
    outer.stop()
    pinger.goes_on()
    outer = lab.client("srv", server=lab.net.addresses[far], up=True)
    lab.transfer("srv", far, "192.168.50.1", 300_000)
    pinger.goes_on()
    pinger.stop()
    call.stop()
    outer.stop()
    lab.expect(server.stop() == 0, "the server's exit status is not 0")
    lab.expect_clean()


L2TP = {
    "srv": "[lns default]\nip range = 10.77.0.10-10.77.0.20\nlocal ip = 10.77.0.1\n"
           "require authentication = no\n",
    "lac": "[lac far]\nlns = {server}\nautodial = yes\nrequire authentication = no\n",
}


def start_l2tp(ns, role, server):
    base = f"/tmp/xl2tpd-{role}"
    with open(f"{base}.options", "w") as options:
        options.write("noauth\nnoccp\nlcp-echo-interval 1\nlcp-echo-failure 3\n")
    with open(f"{base}.conf", "w") as conf:
        conf.write("[global]\nport = 1701\n" + L2TP[role].format(server=server) +
                   f"pppoptfile = {base}.options\n")
    return popen(ns, ["xl2tpd", "-D", "-c", f"{base}.conf", "-p", f"{base}.pid",
                      "-C", f"{base}.control", "-s", "/dev/null"],
                 stdout=open(f"{base}.log", "w"), stderr=subprocess.STDOUT)


@scenario(datapaths=("relay",))
def l2tp_beside(lab):
    """xl2tpd with a call on the server's machine: its tunnel lives through ours."""
    peer = lab.net.client()
    mark = lab.syslog.mark()
    daemons = [start_l2tp("srv", "srv", None), start_l2tp(peer, "lac", lab.net.addresses["srv"])]
    lab.syslog.wait(r"pppd.*remote IP address 10\.77\.0\.1$", timeout=60, start=mark)
    pinger = Pinger(lab, peer, "10.77.0.1")
    with open(f"/proc/{daemons[0].pid}/net/pppol2tp") as table:
        lab.expect("SESSION" in table.read(), "xl2tpd does not use the kernel's L2TP")
    life_of_a_server(lab, [pinger])
    pinger.stop()
    # How they end is not our concern; in order, it takes them six seconds.
    for pid in processes.descendants(*(daemon.pid for daemon in daemons)):
        os.kill(pid, signal.SIGKILL)
    for daemon in daemons:
        daemon.wait(60)
    lab.expect_clean()

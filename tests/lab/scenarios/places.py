"""Where a server listens: in a VRF device, beside another server."""

import re
import socket

from lab import ip, run, scenario, systemd
from lab.namespaces import inside
from lab.server import Server
from lab.service import UNIT

TABLE = 10


def public_vrf(lab):
    """srv's way to its clients in a VRF device."""
    run(None, "modprobe", "vrf")
    gateway = lab.net.addresses["srv"].rsplit(".", 1)[0] + ".254"
    ip("srv", f"link add public type vrf table {TABLE}", "link set public up",
       "link set eth0 master public", f"route add default via {gateway} table {TABLE}")


def is_refused(lab, ns):
    with inside(ns):
        try:
            socket.create_connection((lab.net.addresses["srv"], 1723), timeout=60).close()
        except ConnectionRefusedError:
            return True
    return False


@scenario(datapaths=("relay", "tty"))
def vrf(lab):
    """vrf NAME: TCP and GRE through a VRF device, the call's interface outside of it."""
    public_vrf(lab)
    ns = lab.net.client()
    plain = lab.server()
    lab.expect(is_refused(lab, ns), "a server outside of the VRF is reached through it")
    lab.expect(plain.stop() == 0, "status")
    server = lab.server(conf="vrf public\n")
    call = lab.client(ns, up=True)
    lab.ping(call.ns, server.local_ip)
    lab.transfer(call.ns, "srv", server.local_ip, 300_000)
    links = run("srv", "ip", "-o", "link").stdout
    lab.expect(re.search(r"ppp\d+: (?!.*master)", links), f"links: {links}")
    call.stop()
    server.wait_log(r"call \d+ ended")
    lab.expect_clean()
    lab.expect(server.stop() == 0, "status")


@scenario(group="vrf", systemd=True)
def vrf_service(lab):
    """The same as a service, whose socket is bound to the VRF by the unit or by the server: the
    port is there over a restart, and the call goes on."""
    public_vrf(lab)
    ns = lab.net.client()
    for how in {"conf": "vrf public\n"}, {"socket_dropin": "[Socket]\nBindToDevice=public\n",
                                          "conf": "vrf public\n"}:
        server = lab.service(start=False, **how)
        if "socket_dropin" in how:
            systemd.has_device("public")
        server.start()
        call = lab.client(ns, up=True)
        systemd.systemctl("restart", UNIT)
        lab.expect(not is_refused(lab, ns), "the port is closed after a restart")
        server.wait_ready()
        lab.ping(call.ns, server.local_ip)
        bound = run("srv", "ss", "-Hltn", "sport = :1723").stdout
        lab.expect(bound.count("%public:1723") == 2, f"bound: {bound}")
        call.stop()
        server.wait_log(r"call \d+ ended")
        server.stop()
        lab.expect(is_refused(lab, ns), "the port is open after stop")
    systemd.forget_devices()
    ip("srv", "link del public")


@scenario(group="vrf", needs_build=True)
def vrf_refused(lab):
    """No such device, datapath kernel: no start, and what to do."""
    for conf, regex in (("vrf nosuch\n", r"vrf nosuch: there is no such device; make it with ip "
                         r"link add nosuch type vrf table N"),
                        ("vrf lo\ndatapath kernel\n", r"vrf lo: the kernel's PPTP sockets know no "
                         r"VRF; use datapath relay or tty")):
        server = lab.server(start=False, conf=conf)
        server.start(wait=False)
        lab.expect(server.process.wait(60) == 1, "status")
        server.wait_log(regex, start=server.mark)
    lab.expect_clean()


class Second(Server):
    """With its own configuration, pid file, address and pool."""

    def __init__(self, lab, address, **how):
        super().__init__(lab, args=["-p", "/run/pptpd-second.pid"], local_ip="192.168.2.1",
                         remote_ip="192.168.3.1-100", conf=f"listen {address}\n", **how)
        self.conf_file = "/etc/pptpd-second.conf"
        self.options_file = "/etc/ppp/options.pptpd-second"


@scenario(datapaths=("relay", "tty", "kernel"))
def two_servers(lab):
    """Two with different -c, -p and listen: each has its calls, and ends without the other."""
    lab.net.add_address("srv", "198.18.0.77")
    first = lab.server(conf="listen 198.18.0.1\n", remote_ip="192.168.1.1-100")
    second = Second(lab, "198.18.0.77", datapath=lab.datapath)
    lab.servers.append(second)
    second.start()
    one = lab.client(up=True)
    two = lab.client(server="198.18.0.77", up=True)
    lab.expect(one.address.startswith("192.168.1.") and two.address.startswith("192.168.3."),
               f"{one.address}, {two.address}")
    lab.ping(one.ns, "192.168.0.1")
    lab.ping(two.ns, "192.168.2.1")
    for pidfile, address in (("/run/pptpd.pid", one.address), ("/run/pptpd-second.pid",
                                                              two.address)):
        listed = run("srv", "pptpctrl", "list", "-p", pidfile).stdout
        lab.expect(address in listed and listed.count("192.168.") == 1, f"{pidfile}: {listed}")
    lab.expect(second.stop() == 0, "status")
    lab.ping(one.ns, "192.168.0.1")
    one.stop()
    first.wait_log(r"call \d+ ended", start=first.mark)
    lab.expect(first.stop() == 0, "status")
    lab.expect_clean()

"""Proves that the lab itself works, with the distribution's own parts at both ends."""

import os
import socket
import struct

from lab import gre, inject, inside, leftovers, parse_gre, poll, run, scenario


@scenario(group="selftest", needs_build=False)
def distribution(lab):
    """The distribution's pptpd, the stock client, MPPE-128; nothing is left."""
    server = lab.server(pptpd="distribution")
    call = lab.client(up=True)
    lab.expect(call.address.startswith("192.168.1."), f"address {call.address}")
    lab.expect(call.peer_address == "192.168.0.1", f"peer {call.peer_address}")
    call.wait_log(r"MPPE 128-bit stateless compression enabled")
    lab.ping(call.ns, server.local_ip)
    lab.ping("srv", call.address)
    speed = lab.transfer(call.ns, "srv", server.local_ip, 2_000_000)
    lab.note(f"{speed.up:.0f}/{speed.down:.0f} Mbit/s")
    server.wait_log(r"pppd.*MPPE 128-bit stateless")
    lab.expect(lab.leftovers(), "leftovers() sees nothing while a call is up")
    lab.expect(call.stop() in (0, 5), "the client's pppd ended otherwise than by the signal")
    server.wait_log(r"pppd.*Exit")
    lab.expect_clean()
    server.stop()
    lab.expect_clean()


@scenario(group="selftest")
def modules(lab):
    """The guest's kernel has what scenarios rely on."""
    names = """ppp_generic ppp_async ppp_mppe pptp gre l2tp_core l2tp_ppp pppox veth sch_netem
        nf_tables ip_tables nf_conntrack_pptp nf_nat_pptp dummy""".split()
    missing = [name for name in names if run(None, "modprobe", name, check=False).returncode]
    lab.expect(not missing, "no module " + " ".join(missing))
    with inside("srv"):
        socket.socket(socket.AF_INET, socket.SOCK_RAW, 47).close()


@scenario(group="selftest")
def tree_is_safe(lab):
    """What a scenario writes never reaches the machine."""
    for mount in open("/proc/mounts"):
        where, kind, options = mount.split()[1:4]
        if kind == "hostfs" and where != "/lab/out":
            lab.expect("ro" in options.split(","), f"{where} can be written to")
    with open("/usr/lab-was-here", "w") as mark:
        mark.write("only in the overlay")
    os.unlink("/usr/lab-was-here")


@scenario(group="selftest")
def bad_links(lab):
    """Delay, loss, duplicates, a small hop, cuts: netem and the filter do what they say."""
    ns, server = lab.net.client(), "198.18.0.1"
    plain = lab.ping(ns, server)
    lab.net.impair(ns, delay_ms=20, jitter_ms=2)
    slow = lab.ping(ns, server)
    lab.expect(min(slow.rtt) > 30 + min(plain.rtt) / 2, f"no delay: {slow.rtt}")
    lab.net.impair(ns, loss=50, direction="up")
    lost = lab.ping(ns, server, count=40, interval=0.02, wait=1)
    lab.expect(10 < lost.loss < 90, f"{lost.loss} % lost of 50")
    lab.net.unimpair(ns)
    lab.net.set_mtu(ns, 1400)
    lab.ping(ns, server, size=1450, count=1)
    big = lab.ping("srv", lab.net.addresses[ns], size=1450, count=1, dont_fragment=True, wait=1,
                   must=False)
    lab.expect(not big.received, "a large packet passed the small hop whole")
    lab.net.set_mtu(ns, 1500)
    lab.net.cut(ns)
    lab.expect(not lab.ping(ns, server, wait=1, must=False).received, "the cut link passes")
    lab.net.uncut(ns)
    lab.ping(ns, server)
    lab.transfer(ns, "srv", server, 1_000_000)
    lab.note(f"{lab.iperf3(ns, 'srv', server, seconds=1):.0f} Mbit/s without VPN")


@scenario(group="selftest")
def gre_by_hand(lab):
    """Injected GRE is captured with any source address; blocked GRE does not arrive."""
    ns = lab.net.client()
    lab.ping(ns, "198.18.0.1")      # neighbours are known from here on
    capture = lab.capture("srv", "eth0", "proto gre")
    inject(ns, "198.18.0.77", "198.18.0.1", gre(1, b"spoofed", seq=5, ack=7))
    lab.net.block_gre(ns)
    inject(ns, lab.net.addresses[ns], "198.18.0.1", gre(2, b"blocked", seq=6))
    lab.net.unblock_gre(ns)
    inject(ns, lab.net.addresses[ns], "198.18.0.1", gre(3, b"passes", seq=7))
    poll(lambda: len(capture.packets()) >= 2, "both packets are captured")
    seen = [parse_gre(frame) for _, frame in capture.stop()]
    lab.expect([(p.source, p.call_id, p.seq, p.ack, p.payload) for p in seen] ==
               [("198.18.0.77", 1, 5, 7, b"spoofed"),
                (lab.net.addresses[ns], 3, 7, None, b"passes")], f"seen: {seen}")


@scenario(group="selftest")
def leftovers_are_seen(lab):
    """Each kind of thing that a server could leave behind is found, and found gone."""
    def expect(word):
        left = lab.leftovers()
        lab.expect(any(word in line for line in left), f"{word}: only {left}")

    lab.expect_clean(1)
    master, slave = os.openpty()
    expect("pty ")
    os.close(master), os.close(slave)

    AF_PPPOX, PPTP = 24, 2
    with inside("srv"):
        lib = leftovers.libc
        held = lib.socket(AF_PPPOX, 1, PPTP)
    name = struct.pack("=HIH2x4s", AF_PPPOX, PPTP, 4711, socket.inet_aton("198.18.0.1"))
    lab.expect(lib.bind(held, name.ljust(30, b"\0"), 30) == 0, "cannot bind a call id")
    expect("kernel socket(s) of pptp")
    lab.expect(not leftovers.call_id_is_free("srv", "198.18.0.1", 4711), "held call id is free")
    os.close(held)
    poll(lambda: leftovers.call_id_is_free("srv", "198.18.0.1", 4711), "the call id is free", 5)

    with inside("srv"):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 47)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
    expect("raw socket in srv")
    expect("udp socket in srv")
    raw.close(), udp.close()
    lab.expect_clean()


@scenario(group="selftest")
def killed_client(lab):
    """Client killed, its TCP reset: PoPToP ends the call each time."""
    server = lab.server(pptpd="distribution", options="lcp-echo-interval 1\nlcp-echo-failure 3\n")
    for how in ("kill", "reset"):
        call = lab.client(up=True, options=["nodetach", "noauth", "debug"])
        mark = lab.syslog.mark()
        if how == "kill":
            call.kill()
        else:
            call.reset_tcp()
        server.wait_log(r"control connection finished", start=mark, timeout=90)
        call.wait_exit()
        lab.expect_clean(30)


@scenario(group="selftest")
def behind_nat(lab):
    """Two clients behind one NAT address with PPTP helper are up at the same time."""
    server = lab.server(pptpd="distribution")
    calls = [lab.client(lab.net.client_behind_nat(), up=True) for _ in range(2)]
    for call in calls:
        lab.ping(call.ns, server.local_ip)
    lab.expect(len(server.pppds()) == 2, f"pppds of the server: {server.pppds()}")
    clients = server.find_log(r"Client 198\.18\.251\.1 control connection started")
    lab.expect(len(clients) == 2, "the NAT does not hide its clients")
    for call in calls:
        call.stop()
    lab.expect_clean()


@scenario(group="selftest")
def wrong_password(lab):
    """A refused client fails for pppd's own reason."""
    lab.server(pptpd="distribution")
    lab.client(password="guess").wait_refused()
    lab.expect_clean()

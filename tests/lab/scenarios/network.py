"""Bad networks: jitter, loss, duplicates, a small hop, a long gap."""

import json
import socket
import struct

from lab import DATAPATHS, inside, run, scenario

DELAY_MS, JITTER_MS = 2, 0.2


def up_speed(lab, call, server, jitter_ms, seconds):
    lab.net.impair(call.ns, delay_ms=DELAY_MS)
    # Only on the way to the server: how the client bears it is not our merit.
    lab.net.impair(call.ns, delay_ms=DELAY_MS, jitter_ms=jitter_ms, direction="up")
    return lab.iperf3(call.ns, "srv", server.local_ip, seconds=seconds)


@scenario(datapaths=DATAPATHS)
def jitter(lab):
    """Upload on a path with delay, without and with jitter; the relay keeps half of it."""
    server = lab.server()
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    quiet, shaken = [], []
    for _ in range(3):
        quiet.append(up_speed(lab, call, server, 0, 1))
        shaken.append(up_speed(lab, call, server, JITTER_MS, 1))
    kept = sum(shaken) / sum(quiet)
    lab.note(f"{sum(quiet) / 3:.1f} Mbit/s, {sum(shaken) / 3:.1f} with jitter: {kept:.0%}")
    if lab.datapath == "relay":
        lab.expect(kept >= 0.5, f"{kept:.0%} of the speed is left under {JITTER_MS} ms of jitter: "
                   f"{quiet}, {shaken}")
    lab.net.unimpair(call.ns)
    call.stop()
    lab.expect_clean()


@scenario(datapaths=DATAPATHS, timeout=300)
def bad_path(lab):
    """1 % loss both ways, jitter and 2 % duplicates to the server: transfers arrive whole."""
    server = lab.server()
    call = lab.client(up=True)
    # pptp-linux cannot bear duplicates (its next expected number goes back), nor much jitter.
    lab.net.impair(call.ns, delay_ms=DELAY_MS, loss=1, direction="down")
    lab.net.impair(call.ns, delay_ms=DELAY_MS, jitter_ms=JITTER_MS, loss=1, duplicate=2,
                   direction="up")
    speed = lab.transfer(call.ns, "srv", server.local_ip, 1_000_000, timeout=240)
    lab.note(f"{speed.up:.1f}/{speed.down:.1f} Mbit/s")
    lab.net.unimpair(call.ns)
    lab.ping(call.ns, server.local_ip)
    if lab.datapath != "kernel":
        entry, = server.calls()
        dropped = entry["dropped"]
        lab.expect(dropped["late"] + dropped["duplicate"] > 0, f"no duplicate was seen: {entry}")
        lab.expect(entry["lost"] > 0, f"no loss was seen: {entry}")
    call.stop()
    lab.expect_clean()


@scenario(datapaths=DATAPATHS)
def small_hop(lab):
    """A hop of 1400 bytes: GRE leaves without DF, is fragmented there, transfers are whole."""
    server = lab.server()
    call = lab.client(up=True)
    lab.net.set_mtu(call.ns, 1400)
    capture = lab.capture("srv", "eth0", "proto gre and src host 198.18.0.1")
    for size in 1340, 1372:     # as large as the interface's MTU lets through
        lab.ping(call.ns, server.local_ip, size=size)
        lab.ping("srv", call.address, size=size)
    speed = lab.transfer(call.ns, "srv", server.local_ip, 2_000_000)
    lab.note(f"{speed.up:.0f}/{speed.down:.0f} Mbit/s")
    packets = [frame for _, frame in capture.stop()]
    sizes = [struct.unpack_from("!H", frame, 16)[0] for frame in packets]
    lab.expect(max(sizes) > 1400, f"no GRE packet is too large for the hop: {max(sizes)}")
    with_df = [frame for frame in packets if frame[20] & 0x40]
    lab.expect(not with_df, f"{len(with_df)} of {len(packets)} GRE packets have DF")
    call.stop()
    lab.expect_clean()


LOST_TOGETHER = 2500    # half of MPPE's counts are 2048


def sent_packets(call):
    found, = json.loads(run(call.ns, "ip", "-json", "-stats", "link", "show", call.iface).stdout)
    return found["stats64"]["tx"]["packets"]


@scenario(datapaths=("relay", "tty"))
def long_gap(lab):
    """More encrypted frames are lost together than the kernel's MPPE can bridge: the call goes on."""
    server = lab.server()
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    before, = server.calls()
    lab.net.block_gre(call.ns)
    first = sent_packets(call)
    with inside(call.ns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        while sent_packets(call) < first + LOST_TOGETHER:
            for _ in range(100):
                sock.sendto(b"lost", (server.local_ip, 7777))
    lab.net.unblock_gre(call.ns)
    # Longer than the launcher waits for the end of a call whose session is gone.
    lab.ping(call.ns, server.local_ip, count=1)
    received = lab.ping(call.ns, server.local_ip, count=40, must=False).received
    lab.expect(received == 40, f"{received} of 40 pings come back")
    lab.expect(not server.find_log("session was deleted"), "its session is taken for deleted")
    after, = server.calls()
    lab.expect(after["call"] == before["call"], f"another call: {after}")
    lab.expect(after["lost"] >= LOST_TOGETHER, f"not all frames were lost: {after}")
    call.stop()
    lab.expect_clean()

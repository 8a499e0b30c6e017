"""The relay's fast path in the kernel: that it is used, and that nothing else changes by it."""

import itertools
import json
import os
import random
import signal
import struct

import lab as library
from lab import Skip, gre, inject, parse_gre, poll, processes, run, scenario
from lab.server import OPTIONS

ON = "relay-offload on\n"
OFF = "relay-offload off\n"
DEVICE = "pptpctl0"
FLAG = b"\xff\x03"
ECHO = "lcp-echo-interval 1", "lcp-echo-failure 60"      # of pppd
COUNTED = "offloaded_tx_frames", "offloaded_rx_frames"


# -- the same scenarios with it: without it they run as relay/... ------------------------

def with_offload(function):
    def scenario_with(lab):
        lab.datapath, lab.conf = "relay", ON
        function(lab)
    scenario_with.__doc__ = function.__doc__
    return scenario_with


for name in ("login", "jitter", "bad-path", "plaintext", "far-ahead", "short-frames",
             "long-gap", "worker-killed", "fifty-calls"):
    other = library.registry[f"relay/{name}"]
    scenario(name=name, group="fast", needs_build=True, timeout=other.timeout)(
        with_offload(other.function))
scenario(name="cost", group="fast", needs_build=True, timeout=300, long=True)(
    with_offload(library.registry["crowd/cost"].function))


# -- that it works -------------------------------------------------------------------------

@scenario(group="offload", needs_build=True)
def programs(lab):
    """The programs as this guest's kernel runs them: packet by packet, what each of them does."""
    done = run("srv", "/usr/lib/lab/offload-run", check=False)
    lab.say(done.stdout + done.stderr)
    if done.returncode == 77:
        raise Skip("this kernel runs no BPF program for a test")
    lab.expect(done.returncode == 0, "a packet was treated wrongly: see scenario.log")


@scenario(group="offload", needs_build=True)
def used(lab):
    """Data goes through the kernel both ways, is counted, numbered and acknowledged, also when
    frames for user space come between."""
    server = lab.server(datapath="relay", conf=ON, options=OPTIONS + "\n".join(ECHO) + "\n")
    calls = [lab.client(up=True, more=" ".join(ECHO).split()) for _ in range(2)]
    capture = lab.capture("srv", "eth0", "proto gre")
    for call in calls:
        speed = lab.transfer(call.ns, "srv", server.local_ip, 3_000_000)
        lab.note(f"{speed.up:.0f}/{speed.down:.0f} Mbit/s")
    for entry in server.calls():
        received, sent = entry["offloaded_rx_frames"], entry["offloaded_tx_frames"]
        lab.expect(received > entry["rx_frames"] / 2 and sent > entry["tx_frames"] / 2,
                   f"few frames went through the kernel: {entry}")
        lab.expect(entry["rx_bytes"] > 3_000_000 and entry["tx_bytes"] > 3_000_000,
                   f"not all is counted: {entry}")
    packets = [p for _, frame in capture.stop() if (p := parse_gre(frame))]
    between = sum(p.payload[:4] == FLAG + b"\xc0\x21" for p in packets)
    lab.expect(between > 4, f"only {between} frames of LCP came between")
    missed = int(capture.log.wait("dropped by kernel").text.split()[-5])
    for call in calls:
        expect_numbers(lab, packets, server.address, lab.net.addresses[call.ns], missed)
        call.stop()
    lab.expect_clean()
    lab.expect(server.stop() == 0, "the server's exit status is not 0")
    expect_nothing_left(lab)


def expect_numbers(lab, packets, server, client, missed):
    """The server sent each number once, in order, and acknowledged what it had received; the
    capture missed so many packets."""
    sent = [p.seq for p in packets if p.destination == client and p.seq is not None]
    for before, after in zip(sent, sent[1:]):
        lab.expect(after > before, f"to {client}: {after} after {before}")
    lab.expect(sent[-1] - sent[0] < len(sent) + missed,
               f"to {client}: numbers are missing, {len(sent)} came from {sent[0]} to {sent[-1]}")
    highest = acked = None
    for packet in packets:
        if packet.source == client and packet.seq is not None:
            highest = packet.seq
        elif packet.destination == client and packet.ack is not None and highest is not None:
            lab.expect(packet.ack <= highest + missed,
                       f"{packet.ack} is acknowledged before it came")
            acked = packet.ack
    lab.expect(acked is not None and highest - acked < 64 + missed,
               f"{acked} of {highest} frames are acknowledged")


def expect_grown(lab, before, after, least):
    """The kernel forwarded so many frames more, or none (0), in each direction."""
    for name in COUNTED:
        grown = after[name] - before[name]
        lab.expect(grown >= least if least else grown == 0,
                   f"{name}: {before[name]}, then {after[name]}")


def expect_used(lab, server, call):
    """What is sent now goes through the kernel: once the server's pppd is up, too, which may be
    later than the client's."""
    before = server.calls()[0]["offloaded_tx_frames"]

    def used():
        lab.ping(call.ns, server.local_ip, count=1)
        return server.calls()[0]["offloaded_tx_frames"] > before

    poll(used, "frames go through the kernel")


def expect_nothing_left(lab):
    lab.expect(DEVICE not in run("srv", "ip", "link").stdout, "the device is left")
    lab.expect("pptpctrl" not in filters("eth0"), f"a filter is left: {filters('eth0')}")


def filters(device):
    return run("srv", "tc", "filter", "show", "dev", device, "ingress", check=False).stdout


@scenario(group="offload", needs_build=True)
def left_behind(lab):
    """After kill -9 the next start removes what was left, and no filter of anybody else."""
    run("srv", "tc", "qdisc", "add", "dev", "eth0", "clsact")
    run("srv", "tc", "filter", "add", "dev", "eth0", "ingress", "pref", "7", "protocol", "arp",
        "matchall", "action", "pass")
    server = lab.server(datapath="relay", conf=ON)
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    manager = [pid for pid, _, title in server.ps() if title.startswith("/usr/sbin/pptpd")]
    processes.stop_and_kill(*manager)
    server.process.wait(60)
    call.wait_exit()
    lab.expect_clean(30)
    lab.expect(DEVICE in run("srv", "ip", "link").stdout and "pptpctrl_in" in filters("eth0"),
               "kill -9 leaves nothing: this test shows nothing")
    server.start()
    lab.expect("pptpctrl_in" not in filters("eth0"), "the old program is still there")
    call = lab.client(call.ns, up=True)
    expect_used(lab, server, call)
    call.stop()
    lab.expect(server.stop() == 0, "the server's exit status is not 0")
    expect_nothing_left(lab)
    lab.expect("matchall" in filters("eth0"), "a filter of somebody else is gone")


# -- where it cannot be, and where it has to follow ---------------------------------------

@scenario(group="offload", needs_build=True)
def firewalled(lab):
    """A firewall drops what crosses the device: one line says so, calls go by loopback."""
    run("srv", "iptables-legacy", "-w", "-A", "INPUT", "-i", "pptpctl+", "-j", "DROP")
    server = lab.server(datapath="relay", conf="relay-offload auto\n")
    line = server.wait_log(r"relay-offload off: UDP on its device \S+ does not get through")
    lab.expect("iptables -I INPUT -i pptpctl+ -j ACCEPT" in line.text, f"no advice: {line}")
    expect_nothing_left(lab)
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    lab.expect(server.calls()[0]["offloaded_tx_frames"] == 0, "it is on")
    call.stop()
    lab.expect_clean()


@scenario(group="offload", needs_build=True)
def firewalled_later(lab):
    """A firewall shuts the device under a call, and opens it again: frames go by lo meanwhile."""
    server = lab.server(datapath="relay", conf=ON)
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    run("srv", "iptables-legacy", "-w", "-P", "INPUT", "DROP")
    for rule in (["-i", "lo"], ["-i", "eth0"], ["-i", "ppp+"]):
        run("srv", "iptables-legacy", "-w", "-A", "INPUT", *rule, "-j", "ACCEPT")
    server.wait_log(r"relay-offload off: UDP on its device pptpctl0 does not get through any more")
    before = server.calls()[0]
    lab.transfer(call.ns, "srv", server.local_ip, 200_000)
    after = server.calls()[0]
    expect_grown(lab, before, after, 0)
    status = json.loads(run("srv", "/usr/sbin/pptpctrl", "status", "--json").stdout)
    lab.expect(status["offload"]["falls"] == 1, f"not counted once: {status}")
    again = lab.client(up=True)
    lab.ping(again.ns, server.local_ip)
    again.stop()
    run("srv", "iptables-legacy", "-w", "-A", "INPUT", "-i", "pptpctl+", "-j", "ACCEPT")
    server.wait_log(r"relay-offload on: UDP on its device pptpctl0 gets through again")
    lab.transfer(call.ns, "srv", server.local_ip, 200_000)
    expect_grown(lab, after, server.calls()[0], 50)
    call.stop()
    lab.expect_clean()


@scenario(group="offload", needs_build=True)
def without_worker(lab):
    """The worker is stopped, then killed: frames go on, and nothing stays once the server ends."""
    server = lab.server(datapath="relay", conf=ON)
    call = lab.client(up=True)
    lab.transfer(call.ns, "srv", server.local_ip, 200_000)
    worker, = server.workers()

    def forwarded():
        before = server.calls()[0]
        lab.ping(call.ns, server.local_ip)
        after = server.calls()[0]
        return all(after[name] > before[name] for name in COUNTED)

    poll(forwarded, "both directions are the programs'")
    os.kill(worker, signal.SIGSTOP)
    lab.ping(call.ns, server.local_ip, count=5, interval=0.1)
    os.kill(worker, signal.SIGKILL)
    server.wait_log(r"worker \d+ goes on with 1 call")
    lab.transfer(call.ns, "srv", server.local_ip, 200_000)
    entry = server.calls()[0]
    lab.expect(all(entry[name] > 100 for name in COUNTED), f"few frames after the kill: {entry}")
    lab.expect(server.stop() == 0, "the server's exit status is not 0")
    call.wait_exit()
    lab.expect_clean()
    expect_nothing_left(lab)


@scenario(group="offload", needs_build=True)
def ipsec(lab):
    """While there are IPsec policies every frame takes the way that obeys them."""
    server = lab.server(datapath="relay", conf=ON)
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    policy = ["dir", "out", "src", "203.0.113.1", "dst", "203.0.113.2"]
    run("srv", "ip", "xfrm", "policy", "add", *policy, "action", "allow")
    server.wait_log("relay-offload off: there are IPsec policies")
    before = server.calls()[0]
    lab.ping(call.ns, server.local_ip)
    after = server.calls()[0]
    lab.expect(after["tx_frames"] > before["tx_frames"], "nothing was sent")
    expect_grown(lab, before, after, 0)
    run("srv", "ip", "xfrm", "policy", "delete", *policy)
    server.wait_log("relay-offload on: the IPsec policies are gone")
    expect_used(lab, server, call)
    call.stop()
    lab.expect_clean()


@scenario(group="offload", needs_build=True)
def way_moves(lab):
    """The client's way moves to another interface: the call's frames follow it."""
    server = lab.server(datapath="relay", conf=ON)
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    client, gateway = lab.net.addresses[call.ns], "198.18.240.254"
    run("net", "ip", "link", "add", "srv2", "type", "veth", "peer", "name", "eth1", "netns", "srv")
    run("net", "ip", "addr", "add", f"{gateway}/24", "dev", "srv2")
    run("net", "ip", "link", "set", "srv2", "up")
    run("srv", "ip", "addr", "add", "198.18.240.1/24", "dev", "eth1")
    run("srv", "ip", "link", "set", "eth1", "up")
    run("srv", "ip", "route", "add", client, "via", gateway, "src", server.address)
    run("net", "ip", "route", "replace", f"{server.address}/32", "via", "198.18.240.1")
    poll(lambda: "pptpctrl_in" in filters("eth1"), "the program is on the new interface")
    before = server.calls()[0]
    lab.transfer(call.ns, "srv", server.local_ip, 500_000)
    after = server.calls()[0]
    expect_grown(lab, before, after, 100)
    call.stop()
    lab.expect_clean()


# -- the same packets with it and without --------------------------------------------------

FRAMES = 150
FORGED = 1 << 20
L2TP = 6    # its header


def mppe(count, identity):
    """A frame of right form, that no key fits, with an identity to know it by."""
    return FLAG + struct.pack("!HHI", 0xFD, 0x9000 | count & 0xFFF, identity) + bytes(60)


def sequence(noise, number, count):
    """(number, payload) of a client on a bad path, with an attacker beside it, whose frames have
    identities from FORGED on; and the client's next number and count."""
    sent = []
    for identity in range(1, FRAMES + 1):
        good, chance = (number, mppe(count, identity)), noise.random()
        if identity > FRAMES - 5:
            sent.append(good)
        elif chance < 0.05:
            pass                                # lost
        elif chance < 0.12 and sent:
            sent.insert(-1, good)               # overtakes the one before it
        elif chance < 0.18:
            sent += [good, good]
        elif chance < 0.22:
            sent += [(number + 100_000, mppe(count + 9, FORGED)), good]
        elif chance < 0.26:
            sent += [good, (number - 70, mppe(count, FORGED))]
        elif chance < 0.28:                     # plain IP, and it takes a true frame's number
            sent += [good, (number + 1, FLAG + b"\x00\x21" + bytes(70))]
            number += 1
        else:
            sent.append(good)
        number, count = number + 1, count + 1
    return sent, number, count


def behind_programs():
    """A device that shows what the programs let through to the tunnel's socket, as it is then:
    what tcpdump sees on their own device they have not seen yet."""
    run("srv", "ip", "link", "add", "seen", "type", "dummy")
    run("srv", "ip", "link", "set", "seen", "up")
    run("srv", "tc", "filter", "add", "dev", DEVICE, "ingress", "pref", "60000", "matchall",
        "action", "mirred", "egress", "mirror", "dev", "seen")
    return "seen"


def delivered(lab, seed, conf):
    """Identities of the frames that the kernel's PPP gets, in order, and the call's entry."""
    server = lab.server(datapath="relay", conf=conf)
    call = lab.client(up=True)
    client = lab.net.addresses[call.ns]
    outer = lab.capture("srv", "eth0", f"proto gre and src host {client}", "outer")
    lab.ping(call.ns, server.local_ip, count=5, interval=0.05)

    def newest():
        seen = [p for _, data in outer.packets() if (p := parse_gre(data))]
        encrypted = [p for p in seen if p.payload[2:4] == b"\x00\xfd"]
        return encrypted[-1] if encrypted else None

    poll(newest, "a frame of the client is captured")
    lab.net.block_gre(call.ns)
    last, call_id = newest(), server.calls()[0]["call"]
    inner = lab.capture("srv", behind_programs() if conf == ON else "lo", "udp", "inner")
    packets, next_number, next_count = sequence(
        random.Random(seed), last.seq + 1, struct.unpack_from("!H", last.payload, 4)[0] + 1)

    def send(number, payload):
        inject("net", client, server.address, gre(call_id, payload, seq=number))

    for number, payload in packets:
        send(number, payload)

    def got():
        # After Ethernet, IP and UDP: several of one size come as one from user space.
        size, found = L2TP + len(mppe(0, 0)), []
        for data in [data[42:] for _, data in inner.packets()]:
            frames = [data[at + L2TP:at + size] for at in range(0, len(data), size)]
            found += [struct.unpack_from("!I", frame, 6)[0] for frame in frames
                      if frame[:4] == FLAG + b"\x00\xfd" and len(frame) == size - L2TP]
        return found

    extra = itertools.count()

    def forwards():
        more = next(extra)
        send(next_number + more, mppe(next_count + more, FRAMES + 1 + more))
        return server.calls()[0]["offloaded_rx_frames"] > 20

    poll(lambda: FRAMES in got(), "the last frame arrives")
    # How many of those were forwarded is a matter of time; without trouble all are in the end.
    if conf == ON:
        poll(forwards, "the program forwards frames")
    entry = server.calls()[0]
    inner.stop()
    outer.stop()
    lab.net.unblock_gre(call.ns)
    call.kill()
    server.stop()
    if conf == ON:
        run("srv", "ip", "link", "delete", "seen")
    lab.expect_clean()
    return got(), entry


@scenario(group="offload", needs_build=True, timeout=300)
def same_packets(lab):
    """Loss, reordering, duplicates, forgeries: what reaches PPP is in order, once, and true."""
    for seed in 1, 2:
        for conf in ON, OFF:
            got, entry = delivered(lab, seed, conf)
            what = f"seed {seed}, {conf.strip()}"
            lab.say(f"{what}: {got}, {entry}")
            lab.expect(got == sorted(set(got)), f"{what}: not in order: {got}")
            lab.expect(got[-1] < FORGED, f"{what}: a forged frame was passed on: {got}")
            lab.expect(len(got) > FRAMES * 2 / 3, f"{what}: only {len(got)} arrive")
            lab.expect(entry["dropped"]["far"] > 0 and entry["dropped"]["late"] > 0,
                       f"{what}: {entry['dropped']}")
            lab.expect((entry["offloaded_rx_frames"] > 20) == (conf == ON), f"{what}: {entry}")

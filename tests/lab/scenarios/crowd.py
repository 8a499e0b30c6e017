"""Many clients at once, on the default data path."""

import concurrent.futures
import signal
import time

from lab import poll, pptp, processes, scenario


def all_up(lab, calls):
    """Every client has an address of its own and reaches the server."""
    addresses = {call.wait_up(180) for call in calls}
    lab.expect(len(addresses) == len(calls), f"{len(addresses)} addresses for {len(calls)} clients")
    ping_all(lab, calls)


def ping_all(lab, calls):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda call: lab.ping(call.ns, call.peer_address, count=1, wait=20,
                                            iface=call.iface), calls))


def all_end(lab, server, calls):
    """All hang up at once; each is told of in the log, nothing is left."""
    mark = lab.syslog.mark()
    for call in calls:
        call.process.send_signal(signal.SIGTERM)
    for call in calls:
        # 16: its pptp was gone before the answer to its Terminate-Request.
        lab.expect(call.wait_exit(300) in (0, 5, 16),
                   f"{call.ns}: pppd's status {call.process.returncode}")
    # One after the other: the kernel takes its time to remove an interface.
    server.wait_log(r"call \d+ ended: ", 300, mark, len(calls))
    lab.expect_clean(60)
    lab.expect(server.calls() == [], f"still listed: {server.calls()}")
    lab.expect(not server.find_log("was killed", mark), "a pppd had too little time to end")


def time_to_all(lab, calls):
    last = max(call.log.find(r"remote IP address")[0].time for call in calls)
    lab.note(f"{len(calls)} up after {last - calls[0].started:.1f} s")


@scenario(group="crowd", needs_build=True, timeout=900)
def thirty_clients(lab):
    """15 with their own address, 10 behind a NAT with PPTP helper, 5 that share an address."""
    # Linux without the helper passes no GRE back, so clients in one namespace stand for a NAT
    # without one.
    server = lab.server(datapath="auto")
    shared = lab.net.client()
    calls = [lab.client() for _ in range(15)]
    calls += [lab.client(lab.net.client_behind_nat()) for _ in range(10)]
    calls += [lab.client(shared) for _ in range(5)]
    all_up(lab, calls)
    time_to_all(lab, calls)
    lab.expect(len(server.pppds()) == 30, f"{len(server.pppds())} pppds")
    clients = [entry["client"] for entry in server.calls() if entry["state"] == "up"]
    counts = sorted(clients.count(address) for address in set(clients))
    lab.expect(counts == [1] * 15 + [5, 10], f"calls per address: {counts}")
    all_end(lab, server, calls)
    lab.expect(server.stop() == 0, "the server's exit status is not 0")
    lab.expect_clean()


@scenario(group="crowd", needs_build=True, timeout=240)
def full_pool(lab):
    """Pool of five: a sixth is told busy, the five go on, it gets in when one leaves."""
    server = lab.server(datapath="auto", remote_ip="192.168.1.1-5")
    calls = [lab.client() for _ in range(5)]
    all_up(lab, calls)
    sixth = lab.net.client()
    capture = lab.capture(sixth, "eth0", "tcp src port 1723")
    refused = lab.client(sixth)
    server.wait_log(rf"Client {lab.net.addresses[sixth]} refused \(busy\)")
    lab.expect(refused.wait_exit() != 0, "the refused client's pppd says all was well")
    poll(lambda: ocrps(capture.packets()), "the answer is captured")
    results = [found[2] for found in ocrps(capture.stop())]
    lab.expect(results and set(results) == {pptp.OCRP_BUSY}, f"results of OCRP: {results}")
    with pptp.Control(sixth, server.address) as control:
        control.greet()
        server_id, client_id, result = control.call(4711)
        lab.expect((client_id, result) == (4711, pptp.OCRP_BUSY),
                   f"OCRP for call {client_id}: result {result}, call id {server_id}")
    ping_all(lab, calls)
    leaver = calls.pop(2)
    mark, address = lab.syslog.mark(), leaver.address
    leaver.stop()
    server.wait_log(r"call \d+ ended: ", start=mark)
    calls.append(lab.client(sixth, up=True))
    lab.expect(calls[-1].address == address, f"{calls[-1].address} given, {address} was free")
    ping_all(lab, calls)
    lab.expect(all(call.running() for call in calls), "a call ended that should not have")
    all_end(lab, server, calls)


def ocrps(packets):
    """The OCRPs among captured TCP segments, of which each has one message."""
    return [pptp.ocrp(s) for s in pptp.segments(packets) if pptp.kind(s) == pptp.OCRP]


@scenario(group="crowd", needs_build=True, long=True, timeout=300)
def cost(lab):
    """Prints what a call costs: memory beside pppd, SYN to address, one client at a time.

    pptp-linux waits a second of its own between its two requests."""
    server, times = lab.server(datapath="auto"), []
    before = memory_by_kind(server)
    for _ in range(10):
        ns = lab.net.client()
        capture = lab.capture("srv", "eth0", f"tcp and host {lab.net.addresses[ns]}")
        call = lab.client(ns, up=True)
        up = call.log.find(r"remote IP address")[0].time
        poll(capture.packets, "the SYN is captured")
        # pcap has wall-clock times, the log monotonic ones.
        syn = capture.stop()[0][0] - (time.time() - time.monotonic())
        times.append(up - syn)
    after = memory_by_kind(server)
    grown = {kind: (after[kind] - before[kind]) / 10 for kind in after}
    times.sort()
    lab.note(f"SYN to address {times[len(times) // 2]:.2f} s (median of 10); kB per call: "
             f"launcher {grown['launcher']:.1f}, worker {grown['worker']:.1f}, per-call parent "
             f"{grown['parent']:.0f}, pppd {grown['pppd']:.0f}")


def memory_by_kind(server):
    """kB by kind of process: what the two of the manager have allocated, and what the
    others do not share with anybody (the parents are forked from the launcher)."""
    found = dict.fromkeys(("launcher", "worker", "parent", "pppd"), 0)
    for pid, _, title in server.ps():
        kind = ("launcher" if pid == server.process.pid else "parent" if "pptpd [" in title
                else "pppd" if "pppd" in title.split()[0] else "worker")
        memory = processes.memory(pid)
        if kind in ("launcher", "worker"):
            found[kind] += memory.get("Anonymous", 0)
        else:
            found[kind] += memory.get("Private_Dirty", 0) + memory.get("Private_Clean", 0)
    return found

"""The measurements of `make bench`, in a guest of the lab. Writes a line of JSON for each figure;
tests/bench/bench.py collects them."""

import argparse
import concurrent.futures
import contextlib
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "/lab/repo/tests/lab/guest")

from lab import KernelClient, Lab, LabError, poll, popen, processes, run  # noqa: E402

OUT = "/lab/out/bench"
TICKS = os.sysconf("SC_CLK_TCK")
MSS = 1356          # that of TCP through a call, whose MTU is 1396
FIRST_PORT = 5300
POOL = "192.168.1.1-250"

# name -> what lab.server() is told; plain is TCP without a VPN.
SERVERS = {
    "plain": None,
    "kernel": {"datapath": "kernel"},
    "relay": {"datapath": "relay", "conf": "relay-offload off\n"},
    "relay-offload": {"datapath": "relay", "conf": "relay-offload on\n"},
    "tty": {"datapath": "tty"},
    "pptpd": {"pptpd": "distribution"},
}
# name -> netem on the way to the server, beside the delay of the way back.
PATHS = {
    "quiet": None,
    "jitter-0.2": dict(delay_ms=2, jitter_ms=0.2),
    "jitter-1": dict(delay_ms=2, jitter_ms=1),
    "jitter-5": dict(delay_ms=10, jitter_ms=5),
    "loss-0.1": dict(delay_ms=2, loss=0.1),
    "loss-1": dict(delay_ms=2, loss=1),
    "loss-3": dict(delay_ms=2, loss=3),
    "duplicate-1": dict(delay_ms=2, duplicate=1),
}


def figure(case, server, value, unit, **more):
    print(json.dumps(dict(case=case, server=server, value=round(value, 4), unit=unit, **more)),
          flush=True)


@contextlib.contextmanager
def attempt(case, server):
    """A measurement that fails is told of, and the others go on."""
    try:
        yield
    except (LabError, subprocess.SubprocessError, OSError, KeyError, ValueError) as error:
        print(json.dumps(dict(case=case, server=server, failed=str(error)[:300])), flush=True)


class Bench:
    def __init__(self, lab, args):
        self.lab, self.args = lab, args
        self.quick = args.quick
        self.namespaces = []

    def client_namespaces(self, count):
        """They stay: the lab has room for 250."""
        while len(self.namespaces) < count:
            self.namespaces.append(self.no_offloads(self.lab.net.client()))
        return self.namespaces[:count]

    def start(self, name, users=None):
        how = dict(SERVERS[name])
        conf = how.pop("conf", "") + "connections 250\n"
        server = self.lab.server(remote_ip=POOL, conf=conf, users=users, **how)
        return server

    def stop(self, server, clients=()):
        for client in clients:
            client.stop()
        server.stop()
        poll(lambda: not self.lab.leftovers(), "all is cleaned up", 60)

    # -- throughput ------------------------------------------------------------------

    def iperf3(self, pairs, direction, *more):
        """Mbit/s that the receivers counted, over all [(client's namespace, address)] at once."""
        servers = [popen("srv", ["iperf3", "-s", "-1", "-B", address, "-p", str(FIRST_PORT + i)],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                   for i, (_, address) in enumerate(pairs)]
        try:
            for i, process in enumerate(servers):
                poll(lambda: processes.listens(process.pid, FIRST_PORT + i), "iperf3 listens")
            words = {"up": (), "down": ("-R",), "both": ("--bidir",)}[direction]
            with concurrent.futures.ThreadPoolExecutor(len(pairs)) as pool:
                return sum(pool.map(lambda job: self.one_iperf3(*job, words + more),
                                    [(i, *pair) for i, pair in enumerate(pairs)]))
        finally:
            for process in servers:
                process.kill()
                process.wait()

    def one_iperf3(self, i, ns, address, words):
        out = run(ns, "iperf3", "-c", address, "-p", str(FIRST_PORT + i), "-J", "-t",
                  str(self.args.seconds), *words, check=False,
                  timeout=self.args.seconds + 60).stdout
        report = json.loads(out)
        if "error" in report:
            raise LabError(f"iperf3 in {ns}: {report['error']}")
        end = report["end"]
        sums = [end[name] for name in ("sum_received", "sum_received_bidir_reverse") if name in end]
        return sum(s["bits_per_second"] for s in sums) / 1e6

    def pairs(self, name, server, clients):
        if server is None:
            return [(ns, self.lab.net.addresses["srv"]) for ns in clients]
        return [(client.ns, client.peer_address) for client in clients]

    def with_calls(self, name, count):
        """Server and clients that are up; without a VPN, only namespaces."""
        if SERVERS[name] is None:
            return None, self.client_namespaces(count)
        server = self.start(name)
        clients = [self.lab.client(ns, kind=KernelClient) for ns in self.client_namespaces(count)]
        for client in clients:
            client.wait_up(120)
            self.lab.ping(client.ns, client.peer_address, count=1, wait=20)
        return server, clients

    def no_offloads(self, ns):
        """Packets as on a wire, for TCP without a VPN too."""
        for where, device in (ns, "eth0"), ("net", ns), ("net", "srv"), ("srv", "eth0"):
            run(where, "ethtool", "-K", device, "tso", "off", "gso", "off", "gro", "off",
                check=False)
        return ns

    def throughput(self, name, count, rep, paths, directions):
        server, clients = self.with_calls(name, count)
        pairs = self.pairs(name, server, clients)
        more = ("-M", str(MSS)) if server is None else ()
        for path in paths:
            self.impair([ns for ns, _ in pairs], PATHS[path])
            for direction in directions if path == "quiet" else ("up",):
                with attempt(f"tcp-{direction}", name):
                    rate = self.iperf3(pairs, direction, *more)
                    figure(f"tcp-{direction}", name, rate, "Mbit/s", path=path, calls=count,
                           rep=rep)
        self.impair([ns for ns, _ in pairs], None)
        if count == 1 and server:
            self.packets(name, clients[0], rep)
            self.round_trip(name, clients[0], rep)
        if server:
            self.stop(server, clients)

    def impair(self, namespaces, how):
        for ns in namespaces:
            self.lab.net.unimpair(ns)
            if how:
                # Back there is only delay: how the client bears the rest is not our merit.
                self.lab.net.impair(ns, delay_ms=how["delay_ms"], direction="down")
                self.lab.net.impair(ns, direction="up", **how)

    def packets(self, name, client, rep):
        sink = self.lab.load("srv", "sink")
        sink.wait("ready")
        for size in (64, 1396) if self.quick else (64, 200, 1396):
            for direction in "up", "down":
                with attempt(f"packets-{direction}", name):
                    load = self.lab.load(client.ns, f"udp-{direction}", "-z", size, "-w", 256,
                                         "-t", self.args.seconds, server=client.peer_address)
                    figure(f"packets-{direction}", name, load.result()["pps"], "1/s", size=size,
                           rep=rep)
        sink.end()

    def round_trip(self, name, client, rep):
        with attempt("round-trip", name):
            found = self.lab.ping(client.ns, client.peer_address, count=50 if self.quick else 200,
                                  interval=0.02)
            times = sorted(found.rtt)
            for part in 50, 99:
                figure("round-trip", name, times[len(times) * part // 100], "ms", percentile=part,
                       rep=rep)

    # -- many calls ---------------------------------------------------------------------

    def cpu_per_packet(self, name, counts):
        """us of the server's own processes, all calls behind one address."""
        client, = self.client_namespaces(1)
        for count in counts:
            with attempt("cpu", name):
                server = self.start(name)
                before = {}
                load = self.lab.load(client, "echo", "-n", count, "-P", 600, "-z", 200,
                                     "-t", self.args.seconds * 2, "-R", max(2, 1000 // count))
                load.wait("up", 900)
                before = self.cpu(server)
                result = load.result(900)
                used = self.cpu(server) - before
                figure("cpu", name, used * 1e6 / max(1, 2 * result["received"]), "us", calls=count,
                       received=result["received"], sent=result["sent"])
                self.stop(server)

    def cpu(self, server):
        """Seconds of all its processes but pppd."""
        total = 0
        for pid in server.pids():
            words = processes.read(pid, "stat").rpartition(")")[2].split()
            if words and processes.name(pid) != "pppd":
                total += (int(words[11]) + int(words[12])) / TICKS
        return total

    def set_up(self, name, storm):
        client, = self.client_namespaces(1)
        server = self.start(name)
        for count, reps in ((1, 5 if self.quick else 20), (storm, 1)):
            times = []
            for _ in range(reps):
                with attempt("set-up", name):
                    result = self.lab.load(client, "login", "-n", count, "-P", 600).result(900)
                    times.append(result)
            if not times:
                continue
            for key in "median", "p90", "p99", "max":
                values = sorted(result["setup_ms"][key] for result in times)
                figure("set-up", name, values[len(values) // 2], "ms", calls=count, at=key)
            figure("set-up-failed", name, sum(count - result["up"] for result in times), "calls",
                   calls=count)
        with attempt("control", name):
            result = self.lab.load(client, "control", "-t", self.args.seconds).result()
            figure("control", name, result["per_second"], "1/s")
        self.stop(server)

    def memory(self, name, count):
        with attempt("memory", name):
            server = self.start(name)
            before = self.private(server)
            load = self.lab.load(self.client_namespaces(1)[0], "hold", "-n", count, "-t", 3600, "-P", 600)
            load.wait("up", 900)
            figure("memory", name, (self.private(server) - before) / count, "kB/call", calls=count)
            load.stop()
            self.stop(server)

    def private(self, server):
        """kB of its processes beside pppd that nobody shares."""
        total = 0
        for pid in server.pids():
            if processes.name(pid) != "pppd":
                memory = processes.memory(pid)
                total += memory.get("Private_Dirty", 0) + memory.get("Private_Clean", 0)
        return total

    # -- all of it -------------------------------------------------------------------------

    def all(self, names):
        served = [name for name in names if SERVERS[name]]
        relays = [name for name in served if name.startswith("relay") or name == "pptpd"]
        paths = ("quiet", "jitter-0.2", "jitter-5", "loss-1") if self.quick else tuple(PATHS)
        for rep in range(self.args.reps):
            for name in names:
                with attempt("throughput", name):
                    self.throughput(name, 1, rep, paths, ("up", "down", "both"))
            for name in names if not self.quick else ():
                with attempt("throughput", name):
                    self.throughput(name, 10, rep, ("quiet",), ("up", "down"))
        for name in served:
            with attempt("set-up", name):
                self.set_up(name, 20 if self.quick else 100)
        for name in relays:
            self.cpu_per_packet(name, (1, 20) if self.quick else (1, 10, 50, 100, 200))
        for name in served:
            self.memory(name, 10 if self.quick else 50)


def offload_is_known():
    """An older build has no fast path."""
    with open("/lab/repo/etc/pptpd.conf.5") as page:
        return bool(re.search("relay-offload", page.read()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--servers", default="")
    args = parser.parse_args()
    names = args.servers.split(",") if args.servers else list(SERVERS)
    if not offload_is_known():
        names = [name for name in names if name != "relay-offload"]
    os.makedirs(OUT, exist_ok=True)
    lab = Lab(None, OUT)
    bench = Bench(lab, args)
    bench.all(names)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

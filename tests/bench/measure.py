"""What `make bench` measures, in a guest of the lab: each figure is a line of JSON."""

import concurrent.futures
import contextlib
import json
import os
import subprocess
import sys
import threading
import time

from lab import KernelClient, LabError, inside, poll, popen, pptp, processes, run
import shares
import wires

TICKS = os.sysconf("SC_CLK_TCK")
MSS = 1356          # that of TCP through a call, whose MTU is 1396
FIRST_PORT = 5300
POOL = "192.168.1.1-250"
IDLE_CONNECTIONS = 200
PINGS = 200
UPLOAD_RUNS = 1_000_000     # bytes; to set it up takes less
BARE = "/usr/lib/lab/pptpload"
OUT = "/lab/out/bench"
# All that may be there while calls stand, or none do.
PROGRAMS = ("pppd", "pptpd", "pptpd-worker", "pptpctrl", "pptpload")
KERNELS_UPLOAD = f"{OUT}/kernels-upload"    # for the servers after it, each a process of its own

# name -> what lab.server() is told. plain is TCP without a VPN; bare starts pppds on the kernel's
# PPTP socket and does nothing else. They are measured in this order: kernel gives the load beside
# which all are pinged.
SERVERS = {
    "plain": None,
    "bare": None,
    "kernel": {"datapath": "kernel"},
    "relay-offload": {"datapath": "relay", "conf": "relay-offload on\n"},
    "relay": {"datapath": "relay", "conf": "relay-offload off\n"},
    "relay-threads": {"datapath": "relay", "conf": "relay-offload off\nrelay-threads 0\n"},
    "tty": {"datapath": "tty"},
    "pptpd": {"pptpd": "distribution"},
}
# name -> netem on the way to the server, beside the delay of the way back.
PATHS = {
    "quiet": None,
    "overtaking": None,     # as veth has it, on several CPUs
    "jitter-0.2": dict(delay_ms=2, jitter_ms=0.2),
    "jitter-1": dict(delay_ms=2, jitter_ms=1),
    "jitter-5": dict(delay_ms=10, jitter_ms=5),
    "delay-2": dict(delay_ms=2),
    "delay-10": dict(delay_ms=10),
    "loss-0.1": dict(delay_ms=2, loss=0.1),
    "loss-1": dict(delay_ms=2, loss=1),
    "loss-3": dict(delay_ms=2, loss=3),
    "duplicate-1": dict(delay_ms=2, duplicate=1),
}


def figure(case, server, value, unit, **more):
    print(json.dumps(dict(case=case, server=server, value=round(value, 4), unit=unit, **more)),
          flush=True)


def failed(case, server, why, **more):
    print(json.dumps(dict(case=case, server=server, failed=str(why)[:300], **more)), flush=True)


@contextlib.contextmanager
def attempt(case, server):
    """A measurement that fails is told of, and the others go on."""
    try:
        yield
    except (LabError, subprocess.SubprocessError, OSError, KeyError, ValueError,
            IndexError) as error:
        failed(case, server, f"{type(error).__name__}: {error}")


class Bench:
    """One server's measurements, in a world of their own."""

    def __init__(self, lab, name, args, rep):
        self.lab, self.name, self.args, self.rep = lab, name, args, rep
        self.server = None
        self.before = set(processes.pids())

    # -- the two ends ----------------------------------------------------------------

    def client_namespace(self):
        ns = self.lab.net.client()
        wires.single(ns)
        return ns

    def start(self, conf=""):
        how = dict(SERVERS[self.name])
        conf = how.pop("conf", "") + conf + "connections 250\n"
        if "pptpd" in how:
            conf = "connections 250\n"
        shares.weigh_server("pptpd" not in how)
        self.server = self.lab.server(remote_ip=POOL, conf=conf, **how)

    def calls(self, count):
        """[(client, its namespace, the address of the far end)] of so many calls that are up."""
        spaces = [self.client_namespace() for _ in range(count)]
        if SERVERS[self.name] is None:
            return [(None, ns, self.lab.net.addresses["srv"]) for ns in spaces]
        self.start()
        clients = [self.lab.client(ns, kind=KernelClient) for ns in spaces]
        for client in clients:
            client.wait_up(120)
            self.lab.ping(client.ns, client.peer_address, count=1, wait=20)
        return [(client, client.ns, client.peer_address) for client in clients]

    def impair(self, ns, path):
        self.lab.net.unimpair(ns)
        wires.order(ns, int(ns.removeprefix("cli")), path != "overtaking")
        if PATHS[path]:
            # Back there is only delay: how the client bears the rest is not our merit.
            self.lab.net.impair(ns, delay_ms=PATHS[path]["delay_ms"], direction="down")
            self.lab.net.impair(ns, direction="up", **PATHS[path])

    # -- throughput ------------------------------------------------------------------

    def iperf3(self, calls, direction, *more):
        """Mbit/s that the receivers counted, over all calls at once."""
        with shares.behind_server():
            servers = [popen("srv", ["iperf3", "-s", "-1", "-B", address, "-p",
                                     str(FIRST_PORT + i)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                       for i, (_, _, address) in enumerate(calls)]
        try:
            for i, process in enumerate(servers):
                poll(lambda: processes.listens(process.pid, FIRST_PORT + i), "iperf3 listens")
            words = {"up": (), "down": ("-R",), "both": ("--bidir",)}[direction]
            with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
                return sum(pool.map(lambda job: self.one_iperf3(*job, words + more),
                                    [(i, ns, address) for i, (_, ns, address) in enumerate(calls)]))
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

    def throughput(self, count, paths, directions=("up", "down", "both")):
        """Through so many calls; returns them, and Mbit/s of the quiet upload."""
        calls, quiet = self.calls(count), 0
        more = ("-M", str(MSS)) if SERVERS[self.name] is None else ()
        for path in paths:
            for _, ns, _ in calls:
                self.impair(ns, path)
            for direction in ("up",) if PATHS[path] else directions:
                with attempt(f"tcp-{direction}", self.name):
                    before = wires.dropped()
                    rate = self.iperf3(calls, direction, *more)
                    figure(f"tcp-{direction}", self.name, rate, "Mbit/s", path=path, calls=count,
                           rep=self.rep)
                    figure(f"dropped-{direction}", self.name, wires.dropped() - before, "frames",
                           path=path, calls=count, rep=self.rep)
                    quiet = rate if (path, direction) == ("quiet", "up") else quiet
        for _, ns, _ in calls:
            self.impair(ns, "quiet")
        return calls, quiet

    def one_call(self, paths, sizes, pings):
        calls, quiet = self.throughput(1, paths)
        client = calls[0][0]
        if sizes:
            self.packets(client, sizes)
        if pings:
            self.round_trip(client, "idle")
            self.round_trip_at_half_load(calls, self.half_load(quiet))

    def packets(self, client, sizes):
        with shares.behind_server():
            sink = self.lab.load("srv", "sink")
        sink.wait("ready")
        for size in sizes:
            for direction in "up", "down":
                with attempt(f"packets-{direction}", self.name):
                    load = self.lab.load(client.ns, f"udp-{direction}", "-z", size, "-w", 256,
                                         "-t", self.args.seconds, server=client.peer_address)
                    figure(f"packets-{direction}", self.name, load.result(60)["pps"], "1/s",
                           size=size, rep=self.rep)
        sink.end()

    def round_trip(self, client, load):
        with attempt("round-trip", self.name):
            before, begun = self.busy(), time.monotonic()
            found = self.lab.ping(client.ns, client.peer_address, count=PINGS, interval=0.01)
            times = sorted(found.rtt)
            figure("busy", self.name, 100 * (self.busy() - before) /
                   ((time.monotonic() - begun) * wires.CPUS), "%", load=load, rep=self.rep)
            figure("pings-lost", self.name, 100 * (1 - len(times) / PINGS), "%", load=load,
                   rep=self.rep)
            for part in 50, 99:
                figure("round-trip", self.name, times[len(times) * part // 100], "ms",
                       percentile=part, load=load, rep=self.rep)

    def busy(self):
        """Seconds of all CPUs of the machine, whoever had them."""
        user, nice, system, _, _, *rest = (int(word) for word in
                                           processes.read(".", "stat").split("\n")[0].split()[1:9])
        return (user + nice + system + sum(rest)) / TICKS

    def half_load(self, quiet):
        """Half of what `datapath kernel` carried last: the same load for all servers. Where it was
        not measured, half of this server's own."""
        if self.name == "kernel" and quiet:
            with open(KERNELS_UPLOAD, "w") as note:
                note.write(str(quiet))
        with contextlib.suppress(FileNotFoundError), open(KERNELS_UPLOAD) as note:
            quiet = float(note.read())
        return quiet / 2

    def round_trip_at_half_load(self, calls, mbit):
        """Beside an upload of so many Mbit/s."""
        def upload():
            with attempt("round-trip", self.name):
                self.iperf3(calls, "up", "-b", f"{max(1, int(mbit * 1000))}k", "-t",
                            str(PINGS // 100 + 2))
        client, ns, _ = calls[0]
        before = self.sent(ns)
        thread = threading.Thread(target=upload)
        thread.start()
        with attempt("round-trip", self.name):
            # The start of its programs is no part of the load.
            poll(lambda: self.sent(ns) > before + UPLOAD_RUNS, "the upload runs", 30)
            self.round_trip(client, "half")
        thread.join()

    def sent(self, ns):
        """Bytes that have left a namespace by all of its interfaces."""
        with inside(ns), open("/proc/thread-self/net/dev") as table:
            return sum(int(line.split(":")[1].split()[8]) for line in list(table)[2:])

    # -- many calls ---------------------------------------------------------------------

    def logins(self, storm):
        """SYN to network up: alone, then so many at once."""
        ns = self.client_namespace()
        if self.name == "bare":
            shares.weigh_server(True)
            # Its pppds find their options where a server of ours has them.
            self.lab.server(start=False, datapath="kernel", remote_ip=POOL).write_files()
            process = popen("srv", [BARE, "bare", self.lab.net.addresses["srv"]])
            poll(lambda: processes.listens(process.pid, 1723), "the bare server listens")
        else:
            # Limits are for strangers; here one address is a whole world of clients.
            self.start("connection-rate 0\ncall-rate 0\n")
        alone = []
        for _ in range(20):
            with attempt("set-up", self.name):
                alone.append(self.login(ns, 1)["setup_ms"]["max"])
            self.wait_for_rest()
        if alone:
            alone.sort()
            figure("set-up", self.name, alone[len(alone) // 2], "ms", calls=1, at="median",
                   rep=self.rep)
        with attempt("set-up", self.name):
            begun = time.monotonic()
            load = self.lab.load(ns, "hold", "-n", storm, "-t", 3600, "-P", 300)
            load.wait("up", 400)
            poll(self.scripts_are_over, "all scripts of pppd have ended", 60)
            whole = time.monotonic() - begun
            result = load.stop()
            for at in "median", "p90", "p99", "max":
                figure("set-up", self.name, result["setup_ms"][at], "ms", calls=storm, at=at,
                       rep=self.rep)
            figure("set-ups", self.name, result["up"] * 1000 / result["setup_ms"]["max"], "1/s",
                   calls=storm, rep=self.rep)
            figure("set-ups-whole", self.name, result["up"] / whole, "1/s", calls=storm,
                   rep=self.rep)
            figure("set-up-failed", self.name, storm - result["up"], "calls", calls=storm,
                   rep=self.rep)
        with attempt("control", self.name):
            self.wait_for_rest()
            if self.name != "bare":
                self.control(ns)

    def control(self, ns):
        result = self.lab.load(ns, "control", "-t", self.args.seconds).result(60)
        figure("control", self.name, result["per_second"], "1/s", rep=self.rep)
        figure("control-failed", self.name, result["failed"], "connections", rep=self.rep)
        for at in "median", "max":
            figure("control-each", self.name, result["each_ms"][at], "ms", at=at, rep=self.rep)

    def wait_for_rest(self):
        """Until nothing is left of any call, and nobody has anything to do for one."""
        poll(lambda: self.at_rest() and not self.named("pppd"), "all calls are over", 60)

    def at_rest(self):
        """Neither a script of pppd's, which may outlive it, nor a process that is at work, of the
        kernel's neither: on one CPU they would slow down what is measured next."""
        pids = set(processes.pids()) - {os.getpid()}
        new = pids - self.before
        return (not any(processes.name(pid) not in PROGRAMS for pid in new
                        if not processes.is_kernel_thread(pid)) and
                all(processes.state(pid) in ("S", "I") for pid in pids))

    def named(self, name):
        return [pid for pid in processes.pids() if processes.name(pid) == name]

    def scripts_are_over(self):
        """No pppd has a child, or anything to do."""
        pppds = self.named("pppd")
        return (all(processes.state(pid) == "S" for pid in pppds) and
                not any(processes.parent(pid) in pppds for pid in processes.pids()))

    def login(self, ns, count):
        return self.lab.load(ns, "login", "-n", count, "-P", 300).result(400)

    def cpu_per_packet(self, count):
        """us of the server's own processes, all calls behind one address: while all calls stand,
        and no login or hang-up is counted."""
        ns = self.client_namespace()
        self.start()
        seconds, each = self.args.seconds * 2, max(2, 1000 // count)
        load = self.lab.load(ns, "echo", "-n", count, "-P", 300, "-z", 200, "-t", seconds + 3,
                             "-R", each)
        load.wait("begun", 400)
        time.sleep(1)
        before, begun = self.cpu(), time.monotonic()
        time.sleep(seconds)
        used, took = self.cpu() - before, time.monotonic() - begun
        result = load.result(200)
        if used < 0:        # some of its processes, and their time, are gone
            raise LabError(f"calls ended meanwhile: {result['failures']}")
        packets = 2 * each * count * took * result["received"] / result["sent"]
        figure("cpu", self.name, used * 1e6 / packets, "us", calls=count,
               received=result["received"], sent=result["sent"], rep=self.rep)

    def cpu(self):
        """Seconds of all its processes but pppd."""
        total = 0
        for pid in self.server.pids():
            words = processes.read(pid, "stat").rpartition(")")[2].split()
            if words and processes.name(pid) != "pppd":
                total += (int(words[11]) + int(words[12])) / TICKS
        return total

    def memory(self, count):
        """Of a call beside its pppd, then of a control connection without a call."""
        ns = self.client_namespace()
        self.start("stimeout 300\n")
        before = self.private()
        load = self.lab.load(ns, "hold", "-n", count, "-t", 3600, "-P", 300)
        up = load.wait("up", 400)["up"]
        # pppd's scripts are the server's processes too.
        poll(self.at_rest, "all is quiet", 120)
        figure("memory", self.name, (self.private() - before) / up, "kB", per="call",
               rep=self.rep)
        load.stop()
        if self.name == "pptpd":    # a process for each: the same figure
            return
        # The worker keeps what it had for calls: another one.
        self.server.stop()
        self.start("stimeout 300\n")
        before, held = self.private(), []
        for number in range(IDLE_CONNECTIONS):
            source = f"198.19.0.{number // 50 + 1}"
            if number % 50 == 0:
                self.lab.net.add_address(ns, source)
            held.append(pptp.Control(ns, self.server.address, source))
            held[-1].greet()
        figure("memory", self.name, (self.private() - before) / IDLE_CONNECTIONS, "kB",
               per="connection", rep=self.rep)

    def private(self):
        """kB of its processes beside pppd that nobody shares."""
        total = 0
        for pid in self.server.pids():
            if processes.name(pid) != "pppd":
                memory = processes.memory(pid)
                total += memory.get("Private_Dirty", 0) + memory.get("Private_Clean", 0)
        return total


sys.dont_write_bytecode = True

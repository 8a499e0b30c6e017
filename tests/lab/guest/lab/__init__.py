"""What scenarios are written with. tests/lab/README.md shows how.

A scenario is a function that gets a Lab. It makes clients, servers and traffic with
it and returns when all was as it should be, or raises; whatever it started is ended
for it. It runs in a mount namespace of its own: /etc, /run and /tmp are as at boot,
and what it writes there is gone afterwards.
"""

import dataclasses
import json
import os
import signal
import time

from . import leftovers, processes, systemd, traffic, wire
from .client import Client
from .errors import LabError, Skip
from .load import KernelClient, Load
from .logs import Journal, Log, ProgramLog, Syslog
from .namespaces import Net, enter, inside, ip, popen, run, SERVER
from .processes import poll
from .server import Server
from .supervisor import Supervised
from .service import Service
from .traffic import checksum, gre, inject, parse_gre, tcp_segment
from .wire import Wire

DATAPATHS = ("relay", "tty", "kernel")
CLIENT_PATIENCE = 7     # seconds; pptp waits 2 for each answer when it says goodbye
OUT = "/lab/out"

registry = {}   # full name -> Scenario


@dataclasses.dataclass
class Scenario:
    name: str           # 'relay/login', or 'group/name' when it has no data path
    group: str
    function: object
    datapath: str | None
    timeout: float
    releases: tuple
    needs_build: bool
    dmesg_ok: str | None    # lines of dmesg that are expected here
    long: bool          # only for `lab soak`, or by its own name
    systemd: bool       # in a guest whose first process is systemd
    packages: bool      # that guest is for this scenario alone, without our server installed
    power_cut: bool     # the same, with our server, and its disk outlives it


def scenario(name=None, group="main", datapaths=(None,), timeout=180, releases=("12", "13"),
             needs_build=None, dmesg_ok=None, long=False, systemd=False, packages=False,
             power_cut=False):
    """Registers a function as a scenario, once for each data path.

    needs_build: False for what runs without our own server; by default those with a
    data path need it. long: takes minutes or more; only `lab soak`, or its whole name, runs it.
    systemd: in a guest whose first process is systemd; see lab.service(). packages: such a guest
    for this scenario alone, in which it may install and remove those in /usr/lib/lab/debs.
    power_cut: a guest for this scenario alone that it may kill: see lab.cut_power().
    """
    in_systemd = systemd or packages or power_cut

    def register(function):
        for datapath in datapaths:
            short = name or function.__name__.replace("_", "-")
            full = f"{datapath or group}/{short}"
            if full in registry:
                raise ValueError(f"two scenarios are called {full}")
            needs = bool(datapath or in_systemd) if needs_build is None else needs_build
            registry[full] = Scenario(full, group, function, datapath, timeout, tuple(releases),
                                      needs, dmesg_ok, long, in_systemd, packages, power_cut)
        return function
    return register


class Lab:
    """One scenario's world."""

    def __init__(self, datapath=None, out=OUT, systemd=False, boot=0):
        self.datapath, self.systemd, self.boot = datapath, systemd, boot
        self.conf = ""          # for each server of ours, before its own
        self.out = out
        self.started = time.monotonic()
        self.servers, self.clients, self.captures, self.loads = [], [], [], []
        self.notes = []
        self.steps = open(os.path.join(out, "scenario.log"), "a")
        self.syslog = (Journal if systemd else Syslog)(self.file("syslog.log"))
        self.baseline = leftovers.Baseline()
        self.net = Net(at_home="srv" if systemd else None)

    def file(self, name):
        """Path for a file that is copied out with the logs; never the same one twice."""
        path, n = os.path.join(self.out, name), 1
        while os.path.exists(path):
            n += 1
            stem, dot, suffix = name.partition(".")
            path = os.path.join(self.out, f"{stem}-{n}{dot}{suffix}")
        return path

    def say(self, text):
        """A step, into scenario.log."""
        self.steps.write(f"{time.monotonic() - self.started:8.3f} {text}\n")
        self.steps.flush()

    def note(self, text):
        """A result that is worth a place in the progress line (a throughput, say)."""
        self.say(text)
        self.notes.append(text)

    # -- the two ends -------------------------------------------------------------

    def server(self, start=True, **how):
        """A started Server; see Server for the arguments. Its data path is the scenario's."""
        if how.get("pptpd", "ours") == "ours":
            how.setdefault("datapath", self.datapath)
            how["conf"] = self.conf + how.get("conf", "")
        server = Server(self, **how)
        self.servers.append(server)
        self.say(f"server ({server.pptpd}) in {server.ns}")
        return server.start() if start else server

    def supervised(self, start=True, **how):
        """The server under a supervisor that holds its descriptors. See Supervised."""
        how.setdefault("datapath", self.datapath)
        server = Supervised(self, **how)
        self.servers.append(server)
        self.say("server under a supervisor")
        return server.start() if start else server

    def service(self, start=True, **how):
        """The server as pptpd.service; only in scenarios with systemd. See Service."""
        how.setdefault("datapath", self.datapath)
        service = Service(self, **how)
        self.servers.append(service)
        self.say("pptpd.service")
        return service.start() if start else service

    def client(self, ns=None, user="alice", password="wonder", start=True, up=False, kind=Client,
               **how):
        """A started Client, in a new namespace unless one is given. up: wait until it is."""
        client = kind(self, ns or self.net.client(), user, password, **how)
        self.clients.append(client)
        self.say(f"client {user} in {client.ns}")
        if start or up:
            client.start()
        if up:
            client.wait_up()
            self.say(f"client {user} in {client.ns} has {client.address} on {client.iface}")
        return client

    def load(self, ns, mode, *words, server=None):
        """A started Load: many clients in one process. words: pptpload's options."""
        where = () if mode == "sink" else (server or self.net.addresses["srv"],)
        load = Load(self, ns, mode, *words, *where)
        self.loads.append(load)
        return load

    # -- traffic --------------------------------------------------------------------

    def ping(self, ns, address, **how):
        return traffic.ping(ns, address, **how)

    def transfer(self, ns_from, ns_to, address, size=2_000_000, timeout=120):
        result = traffic.transfer(ns_from, ns_to, address, size, timeout)
        self.say(f"{size} bytes each way {ns_from} <-> {address}: "
                 f"{result.up:.1f} up, {result.down:.1f} down Mbit/s")
        return result

    def iperf3(self, ns_from, ns_to, address, **how):
        rate = traffic.iperf3(ns_from, ns_to, address, **how)
        self.say(f"iperf3 {ns_from} -> {address} {how}: {rate:.1f} Mbit/s")
        return rate

    def capture(self, ns, iface="eth0", expression="", name="capture"):
        capture = traffic.Capture(self, ns, iface, expression, name)
        self.captures.append(capture)
        return capture

    # -- what is left ------------------------------------------------------------------

    def namespaces(self):
        return sorted(os.listdir("/run/netns"))

    def leftovers(self):
        return leftovers.find(self)

    def expect_clean(self, timeout=15):
        """Fails with the list of what is left, if that does not vanish in time."""
        begun = time.monotonic()
        deadline = begun + timeout
        while True:
            left = self.leftovers()
            if not left:
                return
            if time.monotonic() > begun + min(CLIENT_PATIENCE, timeout / 2):
                for client in self.clients:
                    client.end_strays()
            if time.monotonic() > deadline:
                raise LabError(f"left after {timeout} s: " + "; ".join(left))
            time.sleep(0.1)

    def expect(self, truth, text):
        """assert, with words."""
        if not truth:
            raise LabError(text)

    def cut_power(self):
        """The guest is killed as it stands, and boots again with what its disk has; there the
        scenario runs from its beginning, with lab.boot one more. Does not return."""
        if not self.boot:
            raise Skip("the guest has no disk")
        with open(f"{OUT}/events", "a") as events:
            events.write(json.dumps({"event": "cut"}) + "\n")
        signal.pause()

    def close(self):
        """Ends captures and programs; namespaces vanish with the scenario's process."""
        for capture in self.captures:
            if capture.process.poll() is None:
                capture.process.terminate()
                capture.process.wait()
        for end in self.clients + self.loads + self.servers:
            if end.process is not None and end.process.poll() is None:
                end.process.terminate()

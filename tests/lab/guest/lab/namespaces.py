"""Network namespaces: running things in them, and the lab's network.

    srv ------------ net ------------ cli1, cli2, ...
    198.18.0.1        |  (a router)    198.18.N.1
                      |
                     nat ------------ in1, in2, ...   (private side)
                  198.18.251.1         10.9.N.1

`net` only forwards: delay, loss, small MTU and blocking live there or on the client's
own interface, so that neither end's own stack is changed by them.
"""

import contextlib
import ctypes
import os
import subprocess
import threading

from .errors import LabError
from .processes import SLOWER

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_REC, MS_PRIVATE, MS_BIND = 0x4000, 0x40000, 0x1000

SERVER = "198.18.0.1"

entered = None      # the bench: is told the namespace that a thread has come to, None for home


def check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def enter(ns):
    """Moves the calling thread into a network namespace."""
    with open(f"/run/netns/{ns}") as handle:
        check(libc.setns(handle.fileno(), CLONE_NEWNET), f"setns {ns}")
    if entered:
        entered(ns)


@contextlib.contextmanager
def inside(ns):
    """Sockets made in this block belong to the namespace; other threads are not concerned."""
    with open("/proc/thread-self/ns/net") as home:
        enter(ns)
        try:
            yield
        finally:
            check(libc.setns(home.fileno(), CLONE_NEWNET), "setns back")
            if entered:
                entered(None)


def mount(source, target, kind=None, flags=0, data=None):
    words = [w.encode() if w else None for w in (source, target, kind)]
    check(libc.mount(*words, flags, data.encode() if data else None), f"mount on {target}")


def private_mounts():
    """From here on the calling process mounts for itself only."""
    check(libc.unshare(CLONE_NEWNS), "unshare")
    mount(None, "/", flags=MS_REC | MS_PRIVATE)


def set_sysctl(path, value):
    """In the namespace of the calling thread. A kernel may lack a setting of ipv6."""
    with contextlib.suppress(FileNotFoundError), open(f"/proc/sys/net/{path}", "w") as setting:
        setting.write(value)


def popen(ns, command, mounts=None, **options):
    """subprocess.Popen in a namespace, as leader of its own session. mounts: a function that
    mounts something for this program only.

    The program inherits the namespaces of the thread that starts it. (preexec_fn would do,
    but makes subprocess use fork, which costs 10 times what vfork costs in a guest.)
    """
    options.setdefault("stdin", subprocess.DEVNULL)
    result = []

    def start():
        try:
            if ns:
                enter(ns)
            if mounts:
                private_mounts()
                mounts()
            result.append(subprocess.Popen(command, start_new_session=True, **options))
        except Exception as error:      # goes to the caller, below
            result.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]


def run(ns, *command, check=True, timeout=60, input=None):
    """Runs a command in a namespace to its end; returns a CompletedProcess with text."""
    with inside(ns) if ns else contextlib.nullcontext():
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              timeout=timeout * SLOWER, input=input)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)} (in {ns}): status {done.returncode}: "
                       f"{(done.stderr or done.stdout).strip()}")
    return done


def ip(ns, *lines):
    """Several `ip` commands, one a line, in one process: starting one costs most."""
    run(ns, "ip", "-batch", "-", input="\n".join(lines) + "\n")


# User-Mode Linux kernels lack nftables' IP families: iptables-legacy does it.
# Each word is a reason to stop a packet of, or to, one client.
RULES = {
    "gre": (("-p", "gre", "-s"), ("-p", "gre", "-d"), "DROP"),
    "all": (("-s",), ("-d",), "DROP"),
}


class Net:
    """The lab's network. srv and the router are there from the start. at_home: this namespace
    is the guest's first one, in which systemd and what it starts live."""

    def __init__(self, at_home=None):
        self.at_home = at_home
        self.addresses = {}     # namespace -> its address
        self.clients = 0
        self.inner_clients = 0
        self.has_nat = False
        self.lock = threading.Lock()
        self.namespace("net", forward=True)
        self.leg("srv", "net", SERVER)

    def namespace(self, name, forward=False):
        if name == self.at_home:
            ip(None, f"netns attach {name} 1")
        else:
            ip(None, f"netns add {name}")
        ip(name, "link set lo up")
        with inside(name):
            set_sysctl("ipv4/ip_forward", "1" if forward else "0")
            # No IPv6 on the wires: it only brings noise into captures. ppp still has it.
            set_sysctl("ipv6/conf/default/addr_gen_mode", "1")

    def leg(self, name, router, address, outside="eth0"):
        """A new namespace with one veth to a router; the router's end is called like it."""
        self.namespace(name)
        gateway = address.rsplit(".", 1)[0] + ".254"
        ip(router,
           f"link add {name} type veth peer name {outside} netns {name}",
           f"addr add {gateway}/24 dev {name}", f"link set {name} up")
        ip(name,
           f"addr add {address}/24 dev {outside}", f"link set {outside} up",
           f"route add default via {gateway}")
        self.addresses[name] = address
        return name

    def client(self):
        """A new client namespace; its name is returned, its address is addresses[name]."""
        with self.lock:
            self.clients += 1
            number = self.clients
        return self.leg(f"cli{number}", "net", f"198.18.{number}.1")

    def nat(self, helper=True):
        """A NAT box; helper: with the kernel's PPTP helper, as routers have."""
        self.leg("nat", "net", "198.18.251.1")
        with inside("nat"):
            set_sysctl("ipv4/ip_forward", "1")
        run("nat", "iptables-legacy", "-w", "-t", "nat", "-A", "POSTROUTING", "-o", "eth0",
            "-j", "MASQUERADE")
        if helper:
            run(None, "modprobe", "-a", "nf_conntrack_pptp", "nf_nat_pptp")
            run("nat", "iptables-legacy", "-w", "-t", "raw", "-A", "PREROUTING", "-p", "tcp",
                "--dport", "1723", "-j", "CT", "--helper", "pptp")
        self.has_nat = True
        return "nat"

    def client_behind_nat(self):
        if not self.has_nat:
            self.nat()
        self.inner_clients += 1
        return self.leg(f"in{self.inner_clients}", "nat", f"10.9.{self.inner_clients}.1")

    def add_address(self, ns, address):
        """One more address for a namespace, routed to it."""
        ip(ns, f"addr add {address}/32 dev eth0")
        ip("net", f"route add {address}/32 dev {ns} via {self.addresses[ns]}")

    # -- what can happen to packets on the way ------------------------------------

    def impair(self, ns, delay_ms=0, jitter_ms=0, loss=0, duplicate=0, reorder=0,
               rate_mbit=0, limit=10000, direction="both"):
        """netem on a namespace's link. up: what it sends; down: what it receives."""
        words = []
        if delay_ms or jitter_ms:
            words += ["delay", f"{delay_ms}ms"] + ([f"{jitter_ms}ms"] if jitter_ms else [])
        for name, percent in (("loss", loss), ("duplicate", duplicate), ("reorder", reorder)):
            if percent:
                words += [name, f"{percent}%"]
        if rate_mbit:
            words += ["rate", f"{rate_mbit}mbit"]
        for where, device in self.ends(ns, direction):
            run(where, "tc", "qdisc", "replace", "dev", device, "root", "netem",
                "limit", str(limit), *words)

    def unimpair(self, ns):
        for where, device in self.ends(ns, "both"):
            run(where, "tc", "qdisc", "del", "dev", device, "root", check=False)

    def ends(self, ns, direction):
        router = "nat" if ns.startswith("in") else "net"
        ends = {"up": [(ns, "eth0")], "down": [(router, ns)]}
        return ends.get(direction) or ends["up"] + ends["down"]

    def set_mtu(self, ns, mtu):
        """A small hop beyond the router: the router fragments or answers, not the far end."""
        for where, device in self.ends(ns, "both"):
            ip(where, f"link set {device} mtu {mtu}")

    def block_gre(self, ns):
        self.filter("-I", "gre", ns)

    def unblock_gre(self, ns):
        self.filter("-D", "gre", ns)

    def cut(self, ns):
        """Nothing passes any more, in either direction, without a word."""
        self.filter("-I", "all", ns)

    def uncut(self, ns):
        self.filter("-D", "all", ns)

    def filter(self, how, what, ns):
        sent, received, action = RULES[what]
        for match in sent, received:
            run("net", "iptables-legacy", "-w", how, "FORWARD", *match, self.addresses[ns],
                "-j", action)

"""The lab's network as wires between machines with network cards of their own."""

import os

from lab import run

CPUS = os.cpu_count()
ALL = (1 << CPUS) - 1


def single(ns):
    """TCP without a VPN too sends segments, not bundles of 64 kB of which netem would lose or delay
    each as one."""
    for where, device in (ns, "eth0"), ("net", ns), ("net", "srv"), ("srv", "eth0"):
        run(where, "ethtool", "-K", device, "tso", "off", "gso", "off", "gro", "off", check=False)
        run(where, "ip", "link", "set", device, "gso_max_segs", "1")


def order(ns, number, kept=True):
    """Between srv and a client; number is the client's.

    A veth leaves a packet to the CPU that sends it: those of two CPUs overtake one another. A card
    brings all of a client to one CPU (RPS does it here), and so all are in order. The clients' are
    the CPUs in turn, and the server's for each client the next one."""
    if CPUS == 1:
        return
    clients, servers = (1 << (number + i) % CPUS for i in range(2))
    for where, device, cpus in (ns, "eth0", clients), ("net", ns, servers), ("net", "srv", ALL):
        # ip shows the namespace's own sysfs.
        run(None, "ip", "netns", "exec", where, "sh", "-c",
            f"echo {cpus if kept else 0:x} > /sys/class/net/{device}/queues/rx-0/rps_cpus")


def queue_up_to(frames):
    """So many may wait at each CPU for those that take them from there."""
    with open("/proc/sys/net/core/netdev_max_backlog", "w") as limit:
        limit.write(str(frames))


def dropped():
    """Frames that found such a queue full, since the boot, wherever they came from."""
    with open("/proc/net/softnet_stat") as table:
        return sum(int(line.split()[1], 16) for line in table)

"""The lab's network as wires between machines with network cards of their own."""

import os

from lab import run

CPUS = os.cpu_count()


def lay(ns, number):
    """Between srv and a client, the how manyeth: each packet alone, and all in order.

    TCP without a VPN too sends segments, not bundles of 64 kB of which netem would lose or delay
    each as one. And a veth leaves a packet to the CPU that sends it: those of two CPUs overtake one
    another. A card brings all of a client to one CPU; here the clients' are the CPUs in turn, and
    the server's for each client the next one."""
    clients, servers = (1 << (number + i) % CPUS for i in range(2))
    for where, device, cpus in ((ns, "eth0", clients), ("net", ns, servers),
                                ("net", "srv", (1 << CPUS) - 1), ("srv", "eth0", 0)):
        run(where, "ethtool", "-K", device, "tso", "off", "gso", "off", "gro", "off", check=False)
        run(where, "ip", "link", "set", device, "gso_max_segs", "1")
        if CPUS > 1:    # RPS; ip shows the namespace's own sysfs
            run(None, "ip", "netns", "exec", where, "sh", "-c",
                f"echo {cpus:x} > /sys/class/net/{device}/queues/rx-0/rps_cpus")

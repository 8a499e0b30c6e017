"""CPU by machine. Processes of a guest share its CPU one by one: ten clients that read would have ten
shares, a server of one process one. Here the clients, the server, and the programs that calls talk to
have a group each, as if they were services of their own: of the weight that the unit gives the server,
else of equal weight."""

import contextlib
import os
import re

from lab import namespaces

ROOT = "/sys/fs/cgroup"
SERVER, BEHIND, CLIENTS = GROUPS = "server", "behind", "clients"
UNIT = "/lab/repo/etc/pptpd.service"
WEIGHT = 100        # where nothing else is said

in_srv = SERVER     # the group of what is started in namespace srv


def divide():
    """From here on whatever is started in a namespace is in its machine's group."""
    write("cgroup.subtree_control", "+cpu")
    for name in GROUPS:
        os.makedirs(f"{ROOT}/{name}", exist_ok=True)
        write(f"{name}/cgroup.type", "threaded")    # so that a thread can go there alone
    namespaces.entered = join


def weigh_server(by_unit):
    """By our unit, or as a service whose unit says nothing."""
    with open(UNIT) as unit:
        weight = re.search(r"^CPUWeight=(\d+)$", unit.read(), re.M).group(1) if by_unit else WEIGHT
    write(f"{SERVER}/cpu.weight", str(weight))


def write(name, text):
    with open(f"{ROOT}/{name}", "w") as setting:
        setting.write(text)


def join(ns):
    """The calling thread, and so what it starts, goes to the namespace's group."""
    group = in_srv if ns == "srv" else CLIENTS if ns and ns.startswith("cli") else "."
    write(f"{group}/cgroup.threads", "0")


@contextlib.contextmanager
def behind_server():
    """What is started in srv in this block is no part of the server."""
    global in_srv       # pylint: disable=global-statement
    in_srv = BEHIND
    try:
        yield
    finally:
        in_srv = SERVER

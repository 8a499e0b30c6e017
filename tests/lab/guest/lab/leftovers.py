"""Proof that an ended call, or an ended server, left nothing behind."""

import contextlib
import ctypes
import errno
import os
import re
import socket
import struct

from . import processes
from .namespaces import inside, libc

PROGRAMS = {"pppd", "pptp", "pptpctrl", "pptpd", "bcrelay"}
AF_PPPOX, PX_PROTO_PPTP = 24, 2
TCP_LISTEN = "0A"


class Baseline:
    """What was there before; taken when a scenario starts."""

    def __init__(self):
        self.ptys = ptys()
        self.pids = set(processes.pids())


def ptys():
    return {name for name in os.listdir("/dev/pts") if name.isdigit()}


def find(lab):
    """Lines of text, one for each thing that is left; [] when all is clean."""
    found, owners = [], socket_owners()
    idle = {pid for server in lab.servers if alive(server) for pid in server.idle}
    for server in lab.servers:
        found += server.leftovers()
    found += stray_processes(lab, idle) + stray_ptys(lab) + stray_module_users(bool(idle))
    for ns in lab.namespaces():
        found += stray_interfaces(ns) + stray_tunnels(ns, bool(idle))
        found += stray_sockets(ns, owners, idle)
    return found


def alive(server):
    return server.process is not None and server.process.poll() is None


def stray_processes(lab, idle):
    """Any pppd, pptp, pptpd but those of the idle server."""
    known = lab.baseline.pids | idle
    return [f"process {pid}: {processes.title(pid)}" for pid in processes.pids()
            if pid not in known and processes.name(pid) in PROGRAMS]


def stray_ptys(lab):
    return [f"pty /dev/pts/{name}" for name in sorted(ptys() - lab.baseline.ptys)]


def stray_module_users(has_server):
    """A socket of these families holds its module, and with it a call or session id. An idle
    server of ours may hold its tunnel; its sessions are looked for in stray_tunnels()."""
    found = []
    for line in open("/proc/modules"):
        name, _, users = line.split()[:3]
        if (name == "pptp" or name == "l2tp_ppp" and not has_server) and int(users) > 0:
            found.append(f"{users} kernel socket(s) of {name}")
    return found


def stray_interfaces(ns):
    with inside(ns):
        names = [line.split(":")[0].strip() for line in open("/proc/thread-self/net/dev")
                 if ":" in line]
    return [f"interface {name} in {ns}" for name in names
            if re.match(r"ppp|l2tp|tap|tun", name)]


def stray_tunnels(ns, has_server):
    """L2TP sessions; tunnels too, when there is no server that may have one while idle."""
    with inside(ns), contextlib.suppress(FileNotFoundError):
        with open("/proc/thread-self/net/pppol2tp") as lines:
            words = "SESSION" if has_server else "TUNNEL|SESSION"
            return [f"L2TP in {ns}: {line.strip()}" for line in lines
                    if re.match(rf" *({words}) '", line)]
    return []


def socket_owners():
    """{inode: pids that have the socket}"""
    owners = {}
    for pid in processes.pids():
        for what in processes.descriptors(pid).values():
            if what.startswith("socket:["):
                owners.setdefault(int(what[8:-1]), set()).add(pid)
    return owners


def stray_sockets(ns, owners, idle):
    """Control connections, raw GRE sockets and UDP pairs that the idle server had not."""
    found = []
    for kind in ("tcp", "udp", "raw"):
        with inside(ns), open(f"/proc/thread-self/net/{kind}") as table:
            lines = table.read().splitlines()[1:]
        for line in lines:
            words = line.split()
            ends, inode = (words[1], words[2]), int(words[9])
            its = owners.get(inode, set())
            if kind == "tcp":
                # Those that belong to nobody are the kernel's, waiting for their end.
                stray = words[3] != TCP_LISTEN and inode and any(e.endswith(":06BB") for e in ends)
            else:
                stray = not its & idle
            if stray:
                who = ", ".join(processes.title(pid) for pid in its) or "nobody"
                found.append(f"{kind} socket in {ns}: {ends[0]} {ends[1]} of {who}")
    return found


def call_id_is_free(ns, address, call_id):
    """Asks the kernel's PPTP driver by binding; the id is let go again at once."""
    # struct sockaddr_pppox: family, protocol, then pptp_addr {call id, address}.
    name = struct.pack("=HIH2x4s", AF_PPPOX, PX_PROTO_PPTP, call_id, socket.inet_aton(address))
    name = name.ljust(30, b"\0")
    with inside(ns):
        fd = libc.socket(AF_PPPOX, 1, PX_PROTO_PPTP)
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"kernel PPTP socket: {os.strerror(error)}")
    try:
        if libc.bind(fd, name, len(name)) == 0:
            return True
        error = ctypes.get_errno()
        if error == errno.EBUSY:
            return False
        raise OSError(error, f"bind call id {call_id}: {os.strerror(error)}")
    finally:
        os.close(fd)

"""pptpctrl as inetd starts it: one process for each connection, which gives it to the server."""

import os
import re
import socket
import struct
import subprocess

from lab import poll, processes, run, scenario, systemd
from lab.server import write

SOCKET = "[Socket]\nListenStream=0.0.0.0:1723\nAccept=yes\n"
SERVICE = ("[Service]\nExecStart=-/usr/sbin/pptpctrl 0 0 1 /etc/ppp/options.pptpd 0 1 192.168.0.1 "
           "1 192.168.1.9 0 /usr/sbin/pppd 0\nStandardInput=socket\nKillMode=process\n")
NAME = "pptpd-inetd"


def managers():
    """The server's first processes: no per-call parent, no worker, no systemd's child."""
    return [pid for pid in processes.pids() if re.match(r"(\S*/)?pptpd( |$)", processes.title(pid))
            and "[" not in processes.title(pid) and processes.name(pid) != "pptpd-worker"]


@scenario(group="systemd", systemd=True)
def accept_yes(lab):
    """Accept=yes: the first connection starts a server, later ones go to it; it may be killed."""
    server = lab.service(start=False, users={"alice": "wonder", "bob": "wonder"})
    server.write_files()
    write(f"/etc/systemd/system/{NAME}.socket", SOCKET)
    write(f"/etc/systemd/system/{NAME}@.service", SERVICE)
    systemd.systemctl("daemon-reload")
    systemd.systemctl("start", f"{NAME}.socket")
    first = lab.client(up=True)
    lab.ping(first.ns, server.local_ip)
    manager, = managers()
    second = lab.client(user="bob", up=True)
    lab.ping(second.ns, server.local_ip)
    lab.expect(managers() == [manager], f"one server for all: {managers()}")
    lab.expect(len(server.calls()) == 2, f"calls: {server.calls()}")
    poll(lambda: not [pid for pid in processes.pids()
                      if processes.title(pid).startswith("/usr/sbin/pptpctrl 0 0")],
         "pptpctrl has ended when the client is given away")
    for call in first, second:
        call.stop()
    os.kill(manager, 9)
    poll(lambda: not managers(), "the server is gone")
    third = lab.client(first.ns, up=True)
    lab.ping(third.ns, server.local_ip)
    third.stop()


def taken(fd):
    """What the server says to a descriptor from root: 1 when it serves it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.settimeout(30)
        control.connect("/run/pptpd/control")
        # struct status_request, net/status.h: version 1, STATUS_TAKE
        socket.send_fds(control, [struct.pack("=5I256x", 1, 7, 0, 0, 0)], [fd])
        return struct.unpack_from("=3I", control.recv(4096))[2]


@scenario(group="systemd", systemd=True)
def handover_refused(lab):
    """Too few words, no connection, a user who is not root, a descriptor of another kind."""
    words = ["/usr/sbin/pptpctrl", "0", "0", "0", "0", "0", "0"]
    server = lab.service()

    def status(command, **how):
        return subprocess.run(command, capture_output=True, text=True, **how)

    few = status(words[:4], stdin=subprocess.DEVNULL)
    lab.expect(few.returncode == 2 and "usage:" in few.stderr, f"too few words: {few}")
    none = status(words, stdin=subprocess.DEVNULL)
    lab.expect(none.returncode == 2 and "no TCP connection" in none.stderr, f"no connection: {none}")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
        nobody = status(["setpriv", "--reuid", "65534", "--clear-groups", *words], stdin=far)
        lab.expect(nobody.returncode == 1, f"not root: {nobody}")
        unconnected = status(words, stdin=listener)
        lab.expect(unconnected.returncode == 2, f"a listening socket: {unconnected}")
        for wrong in os.pipe()[0], listener.fileno(), socket.socket(type=socket.SOCK_DGRAM).fileno():
            lab.expect(taken(wrong) == 0, "the server took what is no connection")
        run("srv", "/usr/sbin/pptpctrl", "drain")
        drained = status(words, stdin=far)
        lab.expect(drained.returncode == 1, f"drained: {drained}")
        far.close()
        lab.expect(near.recv(1) == b"", "the refused client's connection is open")
    run("srv", "/usr/sbin/pptpctrl", "resume")
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    call.stop()

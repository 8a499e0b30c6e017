"""Starts after a power cut, on a machine that lacks something, and at boot."""

import json
import os
import re
import socket
import subprocess

from lab import poll, processes, run, scenario, systemd
from lab.server import write
from lab.service import SOCKET, UNIT


@scenario(group="systemd", systemd=True, long=True)
def stale_state(lab):
    """Files of a server that a power cut ended: pid file, sockets, garbage. It starts, enabled."""
    server = lab.service(start=False)
    server.write_files()
    os.makedirs("/run/pptpd", exist_ok=True)
    write("/run/pptpd.pid", "1\n")              # somebody else's process now
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind("/run/pptpd/control")
    write("/run/pptpd/garbage", "x")
    systemd.systemctl("enable", UNIT)
    systemd.systemctl("start", "multi-user.target")
    server.wait_ready()
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    with open("/run/pptpd.pid") as text:
        lab.expect(int(text.read()) == server.process.pid, "the pid file")
    lab.expect(systemd.show(SOCKET, "ActiveState") == "active", "the socket came with the service")
    # Everything dies at once, as far as a guest can do that to itself.
    pids = server.pids()
    systemd.systemctl("kill", "--signal=KILL", "--kill-whom=all", UNIT, "pptpd-call-*.scope",
                      check=False)
    poll(lambda: not any(processes.state(pid) not in ("", "Z") for pid in pids), "all are dead")
    call.wait_exit(120)
    poll(lambda: server.show("SubState") == "running", "it is started again", 60)
    again = lab.client(call.ns, up=True)
    lab.expect(again.address == "192.168.1.1", f"its address was not given back: {again.address}")
    lab.ping(again.ns, server.local_ip)
    again.stop()
    server.idle = {}
    server.stop()
    lab.expect_clean()


@scenario(group="systemd", systemd=True)
def module_missing(lab):
    """No l2tp_ppp: datapath relay is one clear failed state, auto takes tty."""
    subprocess.run(["modprobe", "-r", "l2tp_ppp"], check=True)
    os.makedirs("/etc/modprobe.d", exist_ok=True)
    write("/etc/modprobe.d/none.conf", "install l2tp_ppp /bin/false\n")
    server = lab.service(start=False, datapath="relay")
    mark = lab.syslog.mark()
    server.start(wait=False)
    poll(lambda: server.show("ActiveState") == "failed", "it fails", 60)
    lab.syslog.wait(r"pptpd\[\d+\]: MGR: .*l2tp_ppp", 30, mark)
    poll(lambda: systemd.show(SOCKET, "ActiveState") == "inactive", "the port is closed")
    lab.expect(server.show("NRestarts") == "0", "it was started again")
    server.datapath = "auto"
    server.start()
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    lab.expect(server.calls()[0]["datapath"] == "tty", f"{server.calls()}")
    call.stop()
    server.stop()
    os.unlink("/etc/modprobe.d/none.conf")
    run(None, "modprobe", "l2tp_ppp")


BEFORE = "/var/lib/lab-before"


def files():
    """All that a server and its calls could leave on the disk, and when it was changed. What is
    elsewhere below /var the machine itself may change."""
    found = {}
    for top in "/etc", "/var/lib", "/var/log", "/var/spool":
        for folder, _, names in os.walk(top):
            for path in (f"{folder}/{name}" for name in names):
                if re.search("ppp|pptp", path):
                    found[path] = os.lstat(path).st_mtime
    return found


@scenario(group="systemd", power_cut=True)
def power_cut(lab):
    """The guest is killed with calls up and boots: the enabled service starts as if nothing had
    been, nothing of before is on the disk, and the first client gets the first address."""
    server = lab.service(start=False, users={"alice": "wonder", "bob": "wonder"})
    if lab.boot < 2:
        server.write_files()
        systemd.systemctl("enable", UNIT)
        os.symlink("/lib/systemd/system/multi-user.target",
                   "/etc/systemd/system/lab.target.wants/multi-user.target")
        write(BEFORE, json.dumps(files()))
        os.sync()
        systemd.systemctl("start", UNIT)
        server.wait_ready()
        calls = [lab.client(user=user, up=True) for user in server.users]
        for call in calls:
            lab.transfer(call.ns, "srv", server.local_ip, 100_000)
        run("srv", "/usr/sbin/pptpctrl", "drain")
        os.sync()               # what they left, if anything, is on the disk
        lab.cut_power()
    with open(BEFORE) as text:
        before = json.load(text)
    lab.expect("/etc/pptpd.conf" in before, f"the disk is not that of before: {before}")
    lab.expect(files() == before, f"on the disk: {set(files().items()) ^ set(before.items())}")
    server.wait_ready(120)
    lab.expect(server.calls() == [], f"calls of before: {server.calls()}")
    lab.expect(not server.find_log(r"of the manager before"), "it went on with something")
    lab.expect(server.show("NRestarts") == "0", "it was started again")
    poll(lambda: server.show("StatusText").startswith("0 calls"), "no call, and no drain", 30)
    lab.expect(sorted(os.listdir("/run/pptpd")) == ["control", "empty"],
               f"/run/pptpd: {os.listdir('/run/pptpd')}")
    with open("/run/pptpd.pid") as text:
        lab.expect(int(text.read()) == server.process.pid, "the pid file")
    call = lab.client(up=True)
    lab.expect(call.address == "192.168.1.1", f"not the first address: {call.address}")
    lab.ping(call.ns, server.local_ip)
    call.stop()
    lab.expect_clean()
    server.stop()
    lab.expect_clean()

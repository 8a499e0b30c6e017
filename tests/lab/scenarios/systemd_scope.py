"""Each call's processes in a scope of their own, with a bus and without one."""

import os
import signal

from lab import poll, processes, scenario, systemd
from lab.service import UNIT


def scopes():
    out = systemd.systemctl("list-units", "--plain", "--no-legend", "--all", "pptpd-call-*.scope")
    return sorted(line.split()[0] for line in out.splitlines())


def call_of(server):
    """(its number, its parent and pppd) of the one call."""
    call, = server.calls()
    return call["call"], [call["pid"], *(pid for pid in processes.descendants(call["pid"])
                                         if processes.parent(pid) == call["pid"])]


@scenario(group="systemd", systemd=True)
def scope(lab):
    """A call has a scope with parent, pppd and scripts; restart and stop leave no warning."""
    server = lab.service()
    call = lab.client(up=True)
    number, pids = call_of(server)
    name = f"pptpd-call-{number}.scope"
    poll(lambda: all(name in systemd.cgroup(pid) for pid in pids), f"in {name}: {pids}")
    lab.expect(len(pids) == 2, f"parent and pppd: {pids}")
    lab.expect(lab.net.addresses[call.ns] in systemd.show(name, "Description"), "its description")
    systemd.systemctl("restart", UNIT)
    server.wait_log(r"1 calls of the manager before go on")
    lab.ping(call.ns, server.local_ip)
    lab.expect(scopes() == [name], f"after the restart: {scopes()}")
    lab.expect(not server.find_log(r"calls stay in the service's group"), "the scope was made twice")
    call.stop()
    poll(lambda: not scopes(), "the scope goes with its call")
    again = lab.client(call.ns, up=True)
    poll(lambda: len(scopes()) == 1, "a scope for the next call")
    # An administrator may end a call by its scope.
    systemd.systemctl("stop", scopes()[0])
    again.wait_exit()
    server.wait_log(r"call \d+ ended: ", count=2)
    lab.client(call.ns, up=True)
    server.stop()
    poll(lambda: not scopes(), "no scope is left by stop")
    said = lab.syslog.find(r"systemd\[1\]: .*(remains running|left-over process|still running)")
    lab.expect(not said, f"systemd complains: {said[:1]}")


@scenario(group="systemd", systemd=True)
def no_bus(lab):
    """Without a bus, calls stay in the service's group; a restart keeps them even so."""
    systemd.systemctl("stop", "dbus.socket", "dbus.service")
    try:
        server = lab.service()
        call = lab.client(up=True)
        server.wait_log(r"calls stay in the service's group")
        number, pids = call_of(server)
        lab.expect(all(systemd.cgroup(pid).endswith("/pptpd.service") for pid in pids),
                   f"{[systemd.cgroup(pid) for pid in pids]}")
        systemd.systemctl("restart", UNIT)
        server.wait_log(r"1 calls of the manager before go on")
        lab.ping(call.ns, server.local_ip)
        os.kill(server.process.pid, signal.SIGKILL)
        server.wait_log(r"1 calls of the manager before go on", count=2)
        lab.ping(call.ns, server.local_ip)
        call.stop()
    finally:
        systemd.systemctl("start", "dbus.socket")

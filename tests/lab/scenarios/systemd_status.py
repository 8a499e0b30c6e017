"""What the service says of itself, how it is drained, and that it notices what hangs."""

import os
import signal

from lab import Wire, poll, run, scenario, systemd
from lab.service import UNIT


def cli(*words):
    return run("srv", "/usr/sbin/pptpctrl", *words).stdout


def wait_status(server, text):
    poll(lambda: server.show("StatusText") == text,
         f"the status is '{text}', not '{server.show('StatusText')}'", 60)


@scenario(group="systemd", systemd=True)
def drain(lab):
    """pptpctrl drain: no new calls, the old ones go on, over a restart and kills; resume."""
    server = lab.service(remote_ip="192.168.1.1-9", users={"alice": "wonder", "bob": "wonder"})
    wait_status(server, "0 calls, 0 logging in, pool 0/9")
    call = lab.client(up=True)
    wait_status(server, "1 calls, 0 logging in, pool 1/9")
    lab.expect("no new calls are taken; 1 call" in cli("drain"), "pptpctrl drain")
    wait_status(server, "draining: 1 calls, 0 logging in, pool 1/9")
    lab.expect("draining" in cli("list"), "pptpctrl list does not say it")
    other = lab.net.client()

    def is_drained(name):
        mark = lab.syslog.mark()
        client = lab.client(other, user="bob")
        lab.syslog.wait(r"Client 198.18.2.1 refused: no new calls", 60, mark)
        client.wait_exit()
        client.end_strays()
        lab.ping(call.ns, server.local_ip, count=1)
        lab.expect(len(server.calls()) == 1, f"{name}: {server.calls()}")

    is_drained("drain")
    systemd.systemctl("restart", UNIT)
    is_drained("after a restart")
    before = server.worker()
    os.kill(before, signal.SIGKILL)
    poll(lambda: server.worker() not in (None, before), "another worker")
    server.wait_log(r"worker \d+ goes on with 1 calls")
    is_drained("after the worker's death")
    lab.expect("new calls are taken" in cli("resume"), "pptpctrl resume")
    wait_status(server, "1 calls, 0 logging in, pool 1/9")
    lab.expect("draining" not in cli("list"), "pptpctrl list says it still")
    lab.client(other, user="bob", up=True).stop()
    cli("drain")
    server.stop()
    call.wait_exit()
    server.start()
    lab.client(other, user="bob", up=True).stop()


@scenario(group="systemd", systemd=True)
def watchdog(lab):
    """A worker that hangs is replaced, a manager that hangs is started again: the call goes on."""
    server = lab.service(dropin="[Service]\nWatchdogSec=18\nTimeoutAbortSec=1\n")
    call = lab.client(up=True)
    wire = Wire(lab)
    lab.expect(server.show("WatchdogUSec") not in ("0", "infinity"), "no watchdog")
    hangs = server.worker()
    os.kill(hangs, signal.SIGSTOP)
    server.wait_log(rf"worker {hangs} does not answer for 6 s: killed", 90)
    server.wait_log(r"worker \d+ goes on with 1 calls", 60)
    lab.ping(call.ns, server.local_ip)
    lab.expect(server.show("NRestarts") == "0", "the service was started again")
    os.kill(server.process.pid, signal.SIGSTOP)
    poll(lambda: server.show("NRestarts") == "1", "systemd starts it again", 120)
    server.wait_log(r"1 calls of the manager before go on", 60)
    poll(lambda: server.show("SubState") == "running", "the service runs", 60)
    lab.ping(call.ns, server.local_ip)
    said = wire.control(lab.net.addresses[call.ns])
    lab.expect(said == [], f"the client was told something: {said}")
    call.stop()

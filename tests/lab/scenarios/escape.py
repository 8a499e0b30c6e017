"""Hostile code in the worker's place (tests/escape/hostile.c): nothing that it tries gets it
anywhere, and the launcher serves on with another worker."""

import ctypes
import os
import signal
import subprocess
import time

from lab import LabError, poll, processes, run, scenario

PROGRAM = "/usr/lib/lab/pptpd-hostile"
# Those that the launcher ends the worker for, and after which another one serves.
FIRST_FATAL = "cut short"
libc = ctypes.CDLL(None, use_errno=True)


def names():
    return subprocess.run([PROGRAM], env={"HOSTILE_LIST": "1"}, stdout=subprocess.PIPE, text=True,
                          check=True).stdout.splitlines()


class Hostile:
    def __init__(self, lab):
        self.lab, self.names = lab, names()
        self.server = lab.server(program=PROGRAM)
        self.launcher = self.server.process.pid
        with open("/run/marker", "w") as marker:
            marker.write("untouched\n")

    def run(self, name):
        """Starts the escape in the worker of the moment; returns the worker's pid."""
        pid = poll(self.server.worker, "there is one worker")
        self.server.log.wait(rf"hostile: worker {pid}: confined")
        self.lab.say(f"escape: {name}")
        if libc.sigqueue(pid, int(signal.SIGUSR1), ctypes.c_void_p(self.names.index(name))):
            raise LabError(f"sigqueue: {os.strerror(ctypes.get_errno())}")
        return pid

    def wait(self, name, what="", timeout=120):
        """What the escape says came of it."""
        line = self.server.log.wait(rf"hostile: {name}: {what}", timeout)
        return line.text.split(": ", 2)[2]

    def expect_well(self, name):
        lab = self.lab
        lab.expect(self.server.process.poll() is None, f"{name}: the launcher ended")
        lab.expect(processes.name(self.launcher) != "pptpd-worker", f"{name}: another launcher")
        with open("/run/marker") as marker:
            lab.expect(marker.read() == "untouched\n", f"{name}: the marker")
        lab.expect(os.listdir("/run/pptpd/empty") == [], f"{name}: its root is not empty")


@scenario(group="escape", needs_build=True, timeout=400)
def system_calls(lab):
    """No file, program, socket, process, right or door of the kernel is to be had; a call that
    is up goes on."""
    hostile = Hostile(lab)
    call = lab.client(up=True)
    before = hostile.server.worker()
    for name in hostile.names[:hostile.names.index("out of order")]:
        hostile.run(name)
        said = hostile.wait(name)
        lab.expect(said == "held", f"{name}: {said}")
        hostile.expect_well(name)
    lab.expect(hostile.server.worker() == before, "it is another worker")
    lab.ping(call.ns, hostile.server.local_ip)
    call.stop()
    lab.expect_clean()


@scenario(datapaths=["relay"], timeout=400)
@scenario(datapaths=["tty", "kernel"], long=True, timeout=400)
def escape_in_bulk(lab):
    """What an honest worker asks, out of order and without end: bounded, and a call goes on."""
    hostile = Hostile(lab)
    server, call = hostile.server, lab.client(up=True)
    rss = processes.memory(hostile.launcher)["Rss"]
    hostile.run("out of order")
    hostile.wait("out of order")
    hostile.run("exhaust")
    hostile.wait("exhaust", "done")
    count = len(os.listdir(f"/proc/{hostile.launcher}/fd"))
    lab.expect(count < 1200, f"the launcher has {count} descriptors")
    lab.expect(len(server.pppds()) <= 4, f"{len(server.pppds())} pppds")
    hostile.wait("exhaust", "over")
    grown = processes.memory(hostile.launcher)["Rss"] - rss
    lab.expect(grown < 8000, f"the launcher grew by {grown} kB")
    hostile.expect_well("exhaust")
    lab.ping(call.ns, server.local_ip)
    call.stop()
    lab.expect_clean(60)


@scenario(group="escape", needs_build=True, timeout=300)
def drain(lab):
    """A worker that drains and resumes without end fills no log, and a call goes on; one that
    drains and dies is undone by `pptpctrl resume`."""
    hostile = Hostile(lab)
    server, call = hostile.server, lab.client(up=True)
    mark, began = lab.syslog.mark(), time.monotonic()
    hostile.run("drain again and again")
    hostile.wait("drain again and again", "done")
    seconds = 1 + int(time.monotonic() - began)
    lab.ping(call.ns, server.local_ip)
    expect_few_lines(hostile, "drain again and again", mark, 4 * seconds)
    hostile.expect_well("drain again and again")
    before = hostile.run("drain and die")
    poll(lambda: hostile.server.worker() not in (None, before), "a new worker", 60)
    poll(lambda: "draining" in ctl("list"), "the next worker drains too")
    lab.ping(call.ns, server.local_ip)
    call.stop()
    refused = lab.client()
    server.wait_log(r"refused: no new calls", 60, mark)
    refused.wait_exit()
    refused.end_strays()
    ctl("resume")
    expect_service(hostile)


def ctl(word):
    return run("srv", "/usr/sbin/pptpctrl", word).stdout


def expect_few_lines(hostile, name, mark, most=12):
    said = [line.text for line in hostile.server.find_log(r"MGR: ", mark)]
    hostile.lab.expect(len(said) <= most, f"{name}: {len(said)} lines in the log, first {said[:3]}")


def expect_replaced(hostile, name, timeout=60):
    """The escape costs the worker its life, and nothing else changes."""
    lab, server = hostile.lab, hostile.server
    count = len(os.listdir(f"/proc/{hostile.launcher}/fd"))
    mark = lab.syslog.mark()
    before = hostile.run(name)
    poll(lambda: hostile.server.worker() not in (None, before), f"{name}: a new worker", timeout)
    lab.expect(not server.log.find(r"SURVIVED|ESCAPED|no table"), f"{name}: it survived")
    expect_few_lines(hostile, name, mark)
    poll(lambda: len(server.pids()) == 2, f"{name}: nothing but launcher and worker is left")
    poll(lambda: len(os.listdir(f"/proc/{hostile.launcher}/fd")) <= count,
         f"{name}: the launcher has the descriptors that it had")
    hostile.expect_well(name)


def expect_service(hostile):
    """A login works, and the server ends as it should."""
    lab, server = hostile.lab, hostile.server
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip)
    call.stop()
    lab.expect(server.stop() == 0, "the server's exit status")


@scenario(group="escape", needs_build=True, timeout=600)
def messages(lab):
    """Each message that no honest worker sends ends the worker, and only it; then a login works."""
    hostile = Hostile(lab)
    for name in hostile.names[hostile.names.index(FIRST_FATAL):]:
        if name != "deaf":
            expect_replaced(hostile, name)
    expect_service(hostile)


@scenario(group="escape", needs_build=True, timeout=900, long=True)
def deaf(lab):
    """A worker that asks without end and reads no answer is killed; memory stays bounded."""
    hostile = Hostile(lab)
    expect_replaced(hostile, "deaf", 600)
    memory = processes.memory(hostile.launcher)["Rss"]
    lab.expect(memory < 80_000, f"the launcher has {memory} kB")
    expect_service(hostile)

"""Many calls of the load generator, a client that shares no source with the server."""

import itertools
import os
import resource
import signal
import time

from lab import Skip, poll, processes, scenario
from lab.load import AT_ONCE

FEW, CALLS, MANY = 15, 50, 1000
FILES, SOFT, FIT = 200, 100, 10     # open files, hard and soft limit, and the calls that fit
SCRIPTS = "ip-up", "ip-pre-up", "run-parts"     # of pppd: not there once a call stands
MANY_NEED = 2 << 30     # bytes of memory


# How long logins wait for one another is this machine's slowness: none is given up for that.
PATIENT = "setup-timeout 600\n"


def serve(lab, **how):
    return lab.server(remote_ip="192.168.1.1-250", conf=f"connections 250\n{PATIENT}", **how)


def end(lab, server, timeout=120):
    """Nothing is left of so many calls."""
    poll(lambda: server.calls() == [], "no call is listed", timeout)
    lab.expect_clean(timeout)


@scenario(group="load", datapaths=("relay",), timeout=600)
def fifty_calls(lab):
    """Echoes through 15, then 50: datagrams both ways through all of them, each byte
    checked."""
    server = serve(lab)
    client = lab.net.client()
    echo = lab.load(client, "echo", "-n", FEW, "-m", AT_ONCE, "-t", 1, "-R", 5, "-z", 400,
                    "-P", 600)
    result = echo.result()
    echo.expect_whole(result, FEW)
    lab.expect(result["received"] == result["sent"] > 0,
               f"{result['received']} of {result['sent']} echoes came back")
    end(lab, server)
    sink = lab.load("srv", "sink")
    sink.wait("ready")
    # All go to one address of the server's: the sink answers from there.
    both = lab.load(client, "both", "-n", CALLS, "-m", AT_ONCE, "-t", 1, "-w", 8, "-P", 600,
                    "-T", server.local_ip)
    result = both.result()
    both.expect_whole(result, CALLS)
    lab.expect(result["least"] > 0, f"a call carried nothing: {result}")
    lab.note(f"{result['mbit']:.1f} Mbit/s, set-up {result['setup_ms']['median']:.0f} ms, "
             f"lost {result['sent'] - result['received']} of {result['sent']}")
    sink.end()
    end(lab, server)


@scenario(group="load", datapaths=("relay", "tty"))
def early_ipcp(lab):
    """Clients that ask for IPCP, once, before CCP is open, as Windows does: pppd drops such a
    request, so that only a server that keeps it for pppd gets them up."""
    server = serve(lab)
    load = lab.load(lab.net.client(), "echo", "-E", "-n", 5, "-t", 1)
    load.expect_whole(load.result(), 5)
    end(lab, server)


def expect_refused(lab, server, why):
    """Newcomers are told, and nothing happens to the others."""
    before, mark = server.identities(), lab.syslog.mark()
    result = lab.load(lab.net.client(), "login", "-n", 2, "-r", 2).result()
    lab.expect(result["up"] == 0, f"somebody was let in: {result}")
    server.wait_log(why, 30, mark)
    poll(lambda: server.identities() == before, "there are the calls of before", 30)


def take_descriptors(pid):
    """The process has no number left for another one. Returns the limit before."""
    used = processes.descriptors(pid)
    lowest = next(number for number in itertools.count() if number not in used)
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, old[1]))
    return old


@scenario(group="load", datapaths=("relay", "tty"))
def few_descriptors(lab):
    """200 open files, and no right to more: a line at the start, and the calls for which they are
    enough. With none left at all new calls are refused, and another worker goes on."""
    server = serve(lab, wrapper=("prlimit", f"--nofile={SOFT}:{FILES}",
                                 "setpriv", "--bounding-set", "-sys_resource"))
    server.wait_log(rf"250 calls .* may need \d+ open files, and the limit is {FILES}: at most "
                    rf"{FIT} calls, .* LimitNOFILE=", start=server.mark)
    manager = server.process.pid
    load = lab.load(lab.net.client(), "hold", "-n", FIT, "-r", 2, "-t", 86400, "-P", 120)
    load.wait("up")
    poll(lambda: [call["state"] for call in server.calls()] == FIT * ["up"], "they are up", 60)
    before = server.identities()
    each = round((len(processes.descriptors(manager)) - server.idle[manager]) / FIT)
    lab.expect(each <= 5, f"the manager has {each} files open for each call, not 5")
    limits = {resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in server.pppds()}
    lab.expect(limits == {(SOFT, FILES)}, f"pppd's limit is not that of the start: {limits}")
    expect_refused(lab, server, rf"refused \(busy\): all {FIT} connections")
    lab.expect(not server.find_log("Too many open files", server.mark), "it had too few")
    old = take_descriptors(manager)
    expect_refused(lab, server, "Too many open files: calls are refused")
    mark, worker = lab.syslog.mark(), server.worker()
    os.kill(worker, signal.SIGKILL)
    server.wait_log(rf"worker (?!{worker}\b)\d+ goes on with {FIT} calls", 60, mark)
    server.idle[server.worker()] = server.idle.pop(worker)
    lab.expect(server.identities() == before, f"not as before: {server.identities()}")
    resource.prlimit(manager, resource.RLIMIT_NOFILE, old)
    result = load.stop()
    lab.expect(result["up"] == FIT and not result["failures"], f"calls were hurt: {result}")
    end(lab, server)
    one = lab.load(lab.net.client(), "login", "-n", 1)
    one.expect_whole(one.result(), 1)
    end(lab, server)


def many_addresses(count):
    """A pool of that many, as pptpd.conf(5) has them."""
    return ",".join(f"10.1.{net}.1-250" for net in range(-(-count // 250)))


def idle_cpu(server, seconds=20):
    """% of a CPU that the manager and the network process use while nothing happens."""
    worker, = server.workers()

    def used():
        words = [processes.read(pid, "stat").rpartition(")")[2].split()
                 for pid in (server.process.pid, worker)]
        return [(int(w[11]) + int(w[12])) / os.sysconf("SC_CLK_TCK") for w in words]

    before = used()
    time.sleep(seconds)         # what is measured is time in which nothing happens
    return [100 * (now - then) / seconds for now, then in zip(used(), before)]


def memory(pids):
    """MB of their own, what several share counted once."""
    return sum(processes.memory(pid).get("Pss", 0) for pid in pids) / 1024


@scenario(group="load", needs_build=True, timeout=7200, long=True)
def thousand_calls(lab):
    """1,000 calls stand; their link is cut and comes back: all log in again, none is refused."""
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < MANY_NEED:
        raise Skip("too little memory for so many: make many-calls")
    # Twice as many: the old calls are still there when the clients come back.
    # Those that wait for others' pppds to start must not be given up meanwhile, nor give way to
    # one another: that many wait at once is this machine's slowness.
    server = lab.server(remote_ip=many_addresses(2 * MANY),
                        conf=f"connections {2 * MANY}\nsetup-timeout 3600\n"
                             f"max-unauthenticated-per-source {2 * MANY}\n")
    client = lab.net.client()
    load = lab.load(client, "hold", "-n", MANY, "-r", 4, "-m", 16, "-k", 30, "-a", "-t", 86400,
                    "-P", 3600)
    up = load.wait("up", 3600)
    lab.expect(up["up"] == MANY, f"only {up}")
    lab.note(f"{MANY} up after {up['ms'] / 1000:.0f} s")
    poll(lambda: not any(processes.name(pid) in SCRIPTS for pid in processes.pids()),
         "pppd's scripts have ended", 600)
    worker, = server.workers()
    idle = idle_cpu(server)
    lab.note(f"idle: {memory(server.pids()):.0f} MB with pppds, manager {idle[0]:.1f} %, "
             f"network process {idle[1]:.1f} % of a CPU")
    lab.net.cut(client)
    load.wait("none", 600)
    lab.net.uncut(client)
    again = load.wait("again", 3600)
    lab.note(f"all again after {again['ms'] / 1000:.0f} s")
    result = load.stop(3600)
    lab.expect(result["up"] == MANY and result["again"] >= MANY, f"not all came again: {result}")
    lab.expect([worker] == server.workers(), "the network process was killed meanwhile")
    end(lab, server, 1800)

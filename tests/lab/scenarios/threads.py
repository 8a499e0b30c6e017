"""Threads that send the relay's frames (relay-threads), which a guest with one CPU has only when
told so: that they are used and confined, and that nothing else changes by them."""

import os

import lab as library
from lab import processes, run, scenario

THREADS = 3
ON = f"relay-threads {THREADS}\n"
CONFINED = {"CapPrm": "0" * 16, "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1",
            "Seccomp": "2", "Seccomp_filters": "1"}
BYTES = 3_000_000


def with_threads(function, datapath):
    def scenario_with(lab):
        lab.datapath, lab.conf = datapath, ON
        function(lab)
    scenario_with.__doc__ = function.__doc__
    return scenario_with


for name, datapath in (("login", "relay"), ("login", "tty"), ("worker-killed", "relay"),
                       ("reload", "relay"), ("fifty-calls", "relay"), ("bad-path", "relay")):
    other = library.registry[f"{datapath}/{name}"]
    scenario(name=name if datapath == "relay" else f"{datapath}-{name}", group="threads",
             needs_build=True, timeout=other.timeout)(with_threads(other.function, datapath))


def by_threads(server):
    words = run(server.ns, "/usr/sbin/pptpctrl", "status").stdout.split()
    return int(words[words.index("threads.frames") + 1])


@scenario(group="threads", needs_build=True)
def used(lab):
    """Each call's frames both ways, by threads that have no more rights than the worker."""
    server = lab.server(datapath="relay", conf=ON)
    calls = [lab.client(up=True) for _ in range(THREADS)]
    for call in calls:
        before = by_threads(server)
        for way in (call.ns, "srv", server.local_ip), ("srv", call.ns, call.address):
            speed = lab.transfer(*way, BYTES)
            lab.say(f"{call.ns}: {speed}")
        packets = by_threads(server) - before
        lab.expect(packets > 2 * BYTES // 1400, f"threads sent {packets} frames of {call.ns}")
        lab.expect(not call.said("CCP ResetReq"), f"{call.ns} lost its keys")
    worker = server.worker()
    tasks = os.listdir(f"/proc/{worker}/task")
    lab.expect(len(tasks) == 1 + THREADS, f"{len(tasks)} threads")
    for task in tasks:
        lines = processes.read(worker, f"task/{task}/status").splitlines()
        has = dict(line.split(":", 1) for line in lines)
        wrong = {name: has[name].strip() for name, value in CONFINED.items()
                 if has[name].strip() != value}
        lab.expect(not wrong, f"thread {task} has {wrong}")
    lab.expect(server.stop() == 0, "the server's exit status is not 0")
    lab.expect_clean()

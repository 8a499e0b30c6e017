"""What systemd takes away from the service, and that pppd and its scripts work all the same."""

import os
import re
import signal
import subprocess

from lab import poll, processes, run, scenario, systemd
from lab.server import write
from lab.service import UNIT

HIGHEST = 4.5       # exposure that systemd-analyze may find

# Each needs one capability beyond those that every start needs.
SCRIPT = """#!/bin/sh
exec >/run/ip-up.out 2>&1
PATH=/usr/sbin:/usr/bin:/sbin:/bin
try() {
	name=$1; shift
	if "$@"; then echo "$name ok"; else echo "$name failed"; fi
}
try write sh -c 'echo "$1" >>/var/lib/panel/online' sh "$6"
try chown chown 1 /var/lib/panel/mine
try chmod chmod 0640 /var/lib/panel/online
try route ip route add 203.0.113.0/24 dev "$1"
try sysctl sh -c 'echo 1 >/proc/sys/net/ipv4/conf/$1/proxy_arp' sh "$1"
try state sh -c 'date >/etc/ppp/last-call'
try tmp sh -c 'date >/tmp/last-call'
try log logger -t ip-up "call of $PEERNAME"
echo end
"""
WORDS = "write chown chmod route sysctl state tmp log".split()


def prepare():
    os.makedirs("/var/lib/panel", exist_ok=True)
    for name, owner in (("online", 1), ("mine", 0)):
        write(f"/var/lib/panel/{name}", "", 0o600)
        os.chown(f"/var/lib/panel/{name}", owner, owner)
    write("/etc/ppp/ip-up", SCRIPT, 0o755)


def script_says(lab, ns=None):
    """{word: ok or failed} of one call."""
    if os.path.exists("/run/ip-up.out"):
        os.unlink("/run/ip-up.out")
    call = lab.client(ns, up=True)

    def output():
        if os.path.exists("/run/ip-up.out"):
            with open("/run/ip-up.out") as text:
                said = text.read()
            return said if said.endswith("end\n") else None

    said = poll(output, "ip-up has ended", 60)
    call.stop()
    lab.say(said)
    return dict(re.findall(r"^(\w+) (ok|failed)$", said, re.M)), call.ns


@scenario(group="systemd", systemd=True)
def exposure(lab):
    """systemd-analyze security finds little enough; pppd's scripts do all that they did."""
    server = lab.service()
    said = subprocess.run(["systemd-analyze", "security", "--no-pager", UNIT],
                          capture_output=True, text=True, check=True).stdout
    lab.say(said)
    score = float(re.search(r"exposure level for pptpd.service: ([\d.]+)", said).group(1))
    lab.note(f"exposure {score}")
    lab.expect(score <= HIGHEST, f"exposure {score} is above {HIGHEST}")
    complaints = subprocess.run(["systemd-analyze", "verify", UNIT], capture_output=True,
                                text=True).stderr
    lab.expect("pptpd" not in complaints, complaints)
    prepare()
    said, _ = script_says(lab)
    lab.expect(said == dict.fromkeys(WORDS, "ok"), f"ip-up: {said}")
    # Nothing of the machine can be changed but what the unit names.
    worker = server.workers()
    lab.expect(len(worker) == 1, f"worker: {server.ps()}")
    for path in "/usr/bin/x", "/etc/x", "/boot/x", "/root/x":
        done = run(None, "nsenter", "-t", str(server.process.pid), "-m", "touch", path, check=False)
        lab.expect("Read-only" in done.stderr, f"{path}: {done.stderr or 'was written'}")
    server.stop()


@scenario(group="systemd", systemd=True, timeout=300)
def capabilities(lab):
    """The unit's list of capabilities has none too many: without each, something fails."""
    server = lab.service(start=False, datapath="relay", conf="relay-offload on\n")
    server.write_files()
    listed = set(systemd.show(UNIT, "CapabilityBoundingSet").upper().split())
    expected = {"CAP_NET_ADMIN": "CAP_NET_ADMIN", "CAP_NET_RAW": "CAP_NET_RAW",
                "CAP_SETUID": "becoming user pptpd", "CAP_SETGID": "becoming user pptpd",
                "CAP_SYS_CHROOT": "chroot", "CAP_BPF": "BPF programs",
                "CAP_PERFMON": "BPF programs"}
    of_scripts = {"CAP_DAC_OVERRIDE": "write", "CAP_CHOWN": "chown", "CAP_FOWNER": "chmod"}
    lab.expect(listed == {*expected, *of_scripts, "CAP_KILL"}, f"listed: {listed}")
    for name, words in expected.items():
        server.dropins[UNIT] = f"[Service]\nCapabilityBoundingSet=~{name}\nRestart=no\n"
        mark = lab.syslog.mark()
        server.start(wait=False)
        line = lab.syslog.wait(rf"pptpd\[\d+\]: .*({words})", 60, mark)
        lab.say(f"without {name}: {line.text}")
        poll(lambda: server.show("ActiveState") == "failed", f"failed without {name}", 60)
    prepare()
    server.dropins[UNIT] = f"[Service]\nCapabilityBoundingSet=~{' '.join(of_scripts)}\n"
    server.start()
    said, ns = script_says(lab)
    for name, word in of_scripts.items():
        lab.expect(said[word] == "failed", f"without {name} {word} works")
    server.stop()
    # The manager must be able to end a network side that no longer listens to it.
    for dropin, result in (("", "success"), ("[Service]\nCapabilityBoundingSet=~CAP_KILL\n", "timeout")):
        server.dropins[UNIT] = dropin + "[Service]\nTimeoutStopSec=17\n"
        server.start()
        worker, = server.workers()
        os.kill(worker, signal.SIGSTOP)
        systemd.systemctl("stop", UNIT)
        lab.expect(server.show("Result") == result, f"{dropin!r}: {server.show('Result')}")
        os.kill(worker, signal.SIGKILL) if processes.state(worker) else None


@scenario(group="systemd", systemd=True)
def limits(lab):
    """What pptpd-generator makes of connections is what the kernel has; a call fits in. With a
    broken file that does not say, the unit's own limits count."""
    server = lab.service(conf="connections 3\n")

    def control(name):
        with open(f"/sys/fs/cgroup{server.show('ControlGroup')}/{name}") as text:
            return text.read().strip()

    call = lab.client(up=True)
    with open(f"/proc/{server.process.pid}/limits") as text:
        files = re.search(r"Max open files +(\d+) +(\d+)", text.read()).groups()
    lab.expect(files[1] == "2438", f"descriptors: {files}")
    lab.expect(server.show("FileDescriptorStoreMax") == "588", "the store")
    lab.expect(control("pids.max") == "100", f"tasks: {control('pids.max')}")
    lab.expect(control("memory.max") == str(560 << 20), f"memory: {control('memory.max')}")
    lab.expect(control("cpu.weight") == "500", f"CPU: {control('cpu.weight')}")
    stored = int(server.show("NFileDescriptorStore"))
    lab.note(f"of 588 descriptors {stored}, of 100 tasks {control('pids.current')}")
    lab.ping(call.ns, server.local_ip, count=1)
    server.extra_conf, server.remote_ip = "", "192.168.1.300"
    server.write_files()
    lab.expect(server.show("FileDescriptorStoreMax") == "4096", "the store with a broken file")


@scenario(group="systemd", systemd=True)
def threads(lab):
    """The relay's threads under the unit: there, used, and each may stay on its CPU."""
    server = lab.service(conf="relay-threads 2\n")
    call = lab.client(up=True)
    lab.ping(call.ns, server.local_ip, count=3)
    tasks = os.listdir(f"/proc/{server.worker()}/task")
    lab.expect(len(tasks) == 3, f"{len(tasks)} threads")
    loose = server.find_log("threads may not stay on their CPUs")
    lab.expect(not loose, "sched_setaffinity is not allowed")

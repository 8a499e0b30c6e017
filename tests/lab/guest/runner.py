#!/usr/bin/python3
"""Runs in the guest, as child of its first process: does the job that the host wrote down
in /lab/out/job.json, reports by lines of JSON in /lab/out/events."""

import contextlib
import faulthandler
import glob
import importlib.util
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import lab  # noqa: E402
from lab import namespaces, processes, systemd  # noqa: E402

OUT = "/lab/out"
BAD_KERNEL = re.compile(r"WARNING:|BUG:|\bOops\b|Call Trace|general protection|refcount_t|"
                        r"unregister_netdevice: waiting|blocked for more than|Kernel panic|"
                        r"RCU.*stall|Out of memory")


class Events:
    """Each line is on the host's disk before the next thing is done."""

    def __init__(self):
        self.file = open(f"{OUT}/events", "a")

    def send(self, event, **more):
        self.file.write(json.dumps(dict(more, event=event)) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())


class Kmsg:
    """Kernel messages since the last look."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        self.new()

    def new(self):
        lines = []
        while True:
            try:
                record = os.read(self.fd, 8192).decode(errors="replace")
            except BlockingIOError:
                return lines
            except BrokenPipeError:     # the ring was overwritten: goes on with the oldest
                continue
            header, _, text = record.partition(";")
            lines.append(f"[{int(header.split(',')[2]) / 1e6:.6f}] {text.splitlines()[0]}")


def load_scenarios(folder):
    for path in sorted(glob.glob(f"{folder}/*.py")):
        spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def own_world():
    """/etc, /run and /tmp as at boot, for this process and its children only."""
    namespaces.private_mounts()
    namespaces.mount("tmp", "/tmp", "tmpfs")
    os.mkdir("/tmp/etc")
    os.mkdir("/tmp/etc/upper")
    os.mkdir("/tmp/etc/work")
    namespaces.mount("overlay", "/etc", "overlay",
                     data="lowerdir=/etc,upperdir=/tmp/etc/upper,workdir=/tmp/etc/work")
    namespaces.mount("run", "/run", "tmpfs", data="mode=755")
    for name in ("lock", "netns"):
        os.mkdir(f"/run/{name}")
    os.chmod("/tmp", 0o1777)


def snapshot(where):
    """The state of the guest as a failed scenario leaves it."""
    commands = ["ps -eo pid,ppid,user,stat,lstart,args", "ls -l /dev/pts", "cat /proc/modules"]
    if systemd.is_here():
        commands += ["systemctl --no-pager status pptpd.service pptpd.socket",
                     "systemctl --no-pager cat pptpd.service pptpd.socket"]
    for ns in sorted(os.listdir("/run/netns")):
        commands += [f"ip netns exec {ns} {c}" for c in
                     ("ip -s addr", "ip route", "ss -anp -tuwx", "nft list ruleset", "tc -s qdisc")]
    with open(f"{where}/state.txt", "w") as out:
        for command in commands:
            out.write(f"\n# {command}\n")
            out.flush()
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(command.split(), stdout=out, stderr=out, timeout=30, check=False)


def perform(scenario, where, answer, boot):
    """In a child process: runs the scenario, writes its verdict to the pipe."""
    faulthandler.register(signal.SIGUSR1, open(f"{where}/hang.txt", "w"))
    verdict, world = {"verdict": "ok", "reason": ""}, None
    try:
        if scenario.systemd:
            systemd.open_world(private=not scenario.power_cut)
        else:
            own_world()
        world = lab.Lab(scenario.datapath, where, scenario.systemd, boot)
        scenario.function(world)
    except lab.Skip as skip:
        verdict = {"verdict": "skipped", "reason": str(skip)}
    except Exception as error:      # whatever a scenario does wrong is its failure
        with open(f"{where}/traceback.txt", "w") as out:
            traceback.print_exc(file=out)
        reason = str(error) if isinstance(error, lab.LabError) else f"{type(error).__name__}: {error}"
        verdict = {"verdict": "failed", "reason": reason}
        snapshot(where)
    if world:
        verdict["notes"] = world.notes
        try:
            world.close()
        except Exception:
            pass
    os.write(answer, json.dumps(verdict).encode())


def wait_for(child, answer, scenario, where):
    """The verdict of a child process, or that it took too long or died."""
    pidfd = os.pidfd_open(child)
    timeout = scenario.timeout * processes.SLOWER
    ready, _, _ = select.select([pidfd], [], [], timeout)
    os.close(pidfd)
    if not ready:
        os.kill(child, signal.SIGUSR1)      # hang.txt: where each thread is
        time.sleep(0.3)
        snapshot_of_world(child, where)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return {"verdict": "failed", "reason": f"not done after {timeout} s, see hang.txt"}
    _, status = os.waitpid(child, 0)
    text = os.read(answer, 1 << 20)
    if text:
        return json.loads(text)
    return {"verdict": "failed", "reason": f"its process died with status {status}"}


def snapshot_of_world(child, where):
    """snapshot() as the child would see it: in its mount namespace."""
    pid = os.fork()
    if pid == 0:
        try:
            with open(f"/proc/{child}/ns/mnt") as handle:
                namespaces.libc.setns(handle.fileno(), namespaces.CLONE_NEWNS)
            snapshot(where)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def kill_all_but(keep):
    """Ends every process that the scenario left, and waits until they are gone."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        left = [pid for pid in processes.pids() if pid not in keep
                and processes.state(pid) not in ("", "Z") and not processes.is_kernel_thread(pid)
                and not systemd.keeps(pid)]
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)


def run_one(scenario, kmsg, boot):
    where = f"{OUT}/{scenario.name}"
    if boot < 2:
        shutil.rmtree(where, ignore_errors=True)
    os.makedirs(where, exist_ok=True)
    if scenario.needs_build and not os.path.exists("/usr/lib/lab/built"):
        return {"verdict": "skipped", "reason": "there is nothing built yet"}
    kmsg.new()
    keep = set(processes.pids())
    answer, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(answer)
        try:
            perform(scenario, where, write_end, boot)
        finally:
            os._exit(0)
    os.close(write_end)
    verdict = wait_for(child, answer, scenario, where)
    os.close(answer)
    if scenario.systemd and not scenario.power_cut:
        systemd.close_world()
    kill_all_but(keep)
    check_kernel(kmsg, scenario, where, verdict)
    os.sync()
    return verdict


def check_kernel(kmsg, scenario, where, verdict):
    lines = kmsg.new()
    with open(f"{where}/kmsg.txt", "w") as out:
        out.write("".join(f"{line}\n" for line in lines))
    bad = [line for line in lines if BAD_KERNEL.search(line)
           and not (scenario.dmesg_ok and re.search(scenario.dmesg_ok, line))]
    if bad and verdict["verdict"] != "failed":
        verdict.update(verdict="failed", reason=f"the kernel said: {bad[0]}")


def run_scenarios(names, events, repeat, boot):
    load_scenarios("/lab/repo/tests/lab/scenarios")
    kmsg = Kmsg()
    for name in names:
        for _ in range(repeat):
            scenario = lab.registry[name]
            events.send("start", name=name, timeout=scenario.timeout * processes.SLOWER)
            begun = time.monotonic()
            verdict = run_one(scenario, kmsg, boot)
            events.send("end", name=name, seconds=round(time.monotonic() - begun, 2), **verdict)


def run_command(command, events):
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL) as process:
        while True:
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                break
            events.send("output", data=data.decode("latin-1"))
    events.send("status", status=process.returncode)


def small_network():
    """For the shell: srv, two clients, one behind NAT."""
    os.makedirs("/run/netns", exist_ok=True)
    net = namespaces.Net()
    net.client()
    net.client()
    net.client_behind_nat()
    return net


def shell():
    net = small_network()
    print("\nNetwork namespaces and their addresses:")
    for ns, address in net.addresses.items():
        print(f"  {ns:6} {address}")
    print("ip netns exec srv COMMAND runs one there. exit ends the guest.\n", flush=True)
    subprocess.run(["bash", "-i"], cwd="/lab/repo", check=False)


def main():
    with open(f"{OUT}/job.json") as handle:
        job = json.load(handle)
    events = Events()
    events.send("booted", kernel=os.uname().release, init="systemd " * systemd.is_here(),
                uptime=float(open("/proc/uptime").read().split()[0]))
    if job["do"] == "scenarios":
        run_scenarios(job["names"], events, job.get("repeat", 1), job.get("boot", 0))
    elif job["do"] == "exec":
        if job.get("network"):
            small_network()
        run_command(job["command"], events)
    else:
        shell()
    events.send("done")


if __name__ == "__main__":
    main()
